//! Finds a secret in a text, whichever way a formatter would have written it.

use base64ct::{Base64, Base64Url, Encoding as _};

/// Whether `text` holds the secret as it is, or eight bytes of it in a row as hexadecimal digits, as a list of
/// numbers, or in base64.
pub(super) fn holds(text: &str, secret: &[u8]) -> bool {
    if secret.is_empty() {
        return false;
    }
    if text.as_bytes().windows(secret.len()).any(|window| window == secret) {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    // A pretty-printed list has a line for each number.
    let plain: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    secret.windows(WINDOW).any(|bytes| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = |each: &dyn Fn(&u8) -> String| bytes.iter().map(each).collect::<Vec<_>>().join(",");
        let lists = [
            list(&|byte| byte.to_string()),
            list(&|byte| format!("{byte:x}")),
            list(&|byte| format!("0x{byte:02x}")),
        ];
        let hex_apart = [":", "-"].map(|sign| list(&|byte| format!("{byte:02x}")).replace(',', sign));
        plain.contains(&hex) || lists.iter().chain(&hex_apart).any(|form| plain.contains(form.as_str()))
    }) || secret.windows(BASE64_WINDOW).any(|bytes| {
        // Nine bytes are twelve characters without padding, at whichever place of the encoded whole they stand
        // at a multiple of three; windows at every place meet one of them.
        text.contains(&Base64::encode_string(bytes)) || text.contains(&Base64Url::encode_string(bytes))
    })
}

const WINDOW: usize = 8;
const BASE64_WINDOW: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_way_to_print_a_key_is_found() {
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i * 7 + 1).unwrap());
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let prefixed = Base64::encode_string(&[&b"x"[..], &key].concat());
        for text in [
            format!("{key:?}"),
            format!("{key:#?}"),
            format!("{key:x?}"),
            format!("{key:02X?}"),
            format!("{:?}", &key[3..11]),
            hex.clone(),
            hex.to_uppercase(),
            hex[10..30].to_owned(),
            key.map(|byte| format!("{byte:02x}")).join(":"),
            key.map(|byte| format!("0x{byte:02X}")).join(", "),
            Base64::encode_string(&key),
            Base64Url::encode_string(&key),
            prefixed,
        ] {
            assert!(holds(&format!("error: {text}!"), &key), "{text}");
        }
        assert!(holds("pin 4711 refused", b"4711"));
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        let key = [0xa7; 32];
        for text in ["", "key not found", "a7a7", &"a6".repeat(32), "[167, 167, 167]"] {
            assert!(!holds(text, &key), "{text}");
        }
        assert!(!holds("anything", b""));
    }
}
