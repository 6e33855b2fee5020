//! Every attribute, every fault with its place, and whatever proptest makes up.

use proptest::prelude::*;

use super::*;

fn parse(uri: &str) -> Pkcs11Uri {
    uri.parse().unwrap_or_else(|error| panic!("{uri}: {error}"))
}

#[track_caller]
fn assert_fault(uri: &str, position: usize, fault: UriFault) {
    assert_eq!(uri.parse::<Pkcs11Uri>(), Err(Pkcs11UriError { position, fault }), "{uri}");
}

#[test]
fn every_attribute_is_read() {
    let uri = parse(
        "PKCS11:token=my%20token;serial=01%3b02;manufacturer=Snake%20Oil;model=1.0;slot-id=327;object=k%c3%a9y;\
         id=%00%01%ff;type=secret-key;x-owner=a%00b?module-path=/opt/hsm/lib.so&pin-source=file:/run/pin",
    );
    assert_eq!(uri.token(), Some("my token"));
    assert_eq!(uri.serial(), Some("01;02"));
    assert_eq!((uri.manufacturer(), uri.model(), uri.slot_id()), (Some("Snake Oil"), Some("1.0"), Some(327)));
    assert_eq!((uri.object(), uri.class()), (Some("k\u{e9}y"), Some(KeyClass::Secret)));
    assert_eq!(uri.id(), Some(&[0, 1, 255][..]));
    assert_eq!(uri.vendor_attribute("x-owner"), Some(&b"a\0b"[..]));
    assert_eq!(uri.vendor_attribute("x-other"), None);
    assert_eq!(uri.module_path(), Some(Path::new("/opt/hsm/lib.so")));
    assert_eq!(uri.pin_file(), Some(Path::new("/run/pin")));
    assert_eq!(parse(&uri.to_string()), uri);
}

#[test]
fn nothing_at_all_is_a_uri_that_says_nothing() {
    assert_eq!(parse("pkcs11:"), Pkcs11Uri::default());
    assert_eq!(parse("pkcs11:?"), Pkcs11Uri::default());
    assert_eq!(Pkcs11Uri::default().to_string(), "pkcs11:");
}

#[test]
fn the_module_may_stand_on_either_side_of_the_question_mark() {
    let there = parse("pkcs11:module-path=/opt/lib.so;token=t");
    assert_eq!(there, parse("pkcs11:token=t?module-path=/opt/lib.so"));
    assert_fault("pkcs11:module-path=/a?module-path=/b", 22, UriFault::Twice);
}

#[test]
fn the_source_of_the_pin_is_a_file() {
    for source in ["file:/run/pin", "file:///run/pin", "FILE:/run/pin", "/run/pin", "%2frun/pin"] {
        let uri = parse(&format!("pkcs11:?pin-source={source}"));
        assert_eq!(uri.pin_file(), Some(Path::new("/run/pin")), "{source}");
    }
    assert_eq!(parse("pkcs11:?pin-source=file:pin").pin_file(), Some(Path::new("pin")));
    assert_eq!(parse("pkcs11:?pin-source=./a:b").pin_file(), Some(Path::new("./a:b")));
    let doubled = Pkcs11Uri::default().with_pin_file("//run/pin");
    assert_eq!(parse(&doubled.to_string()), doubled);
    for source in ["|cat%20/run/pin", "https://example.org/pin", "file://host/pin", "env:PIN"] {
        assert_fault(&format!("pkcs11:?pin-source={source}"), 8, UriFault::PinSource);
    }
    assert_fault("pkcs11:?pin-source=", 8, UriFault::Empty);
    assert_fault("pkcs11:?pin-source=file:", 8, UriFault::Empty);
}

#[test]
fn faults_are_told_with_their_place() {
    for (uri, position, fault) in [
        ("", 0, UriFault::Scheme),
        ("pkcs11", 0, UriFault::Scheme),
        ("pkcs12:token=a", 0, UriFault::Scheme),
        ("\u{e9}\u{e9}\u{e9}\u{e9}", 0, UriFault::Scheme),
        ("pkcs11:token", 7, UriFault::NoValue),
        ("pkcs11:token=a;", 15, UriFault::NoValue),
        ("pkcs11:token=a;;object=b", 15, UriFault::NoValue),
        ("pkcs11:token=a?module-path=/a&", 30, UriFault::NoValue),
        ("pkcs11:=a", 7, UriFault::Name),
        ("pkcs11:to ken=a", 7, UriFault::Name),
        ("pkcs11:Token=a", 7, UriFault::Unknown),
        ("pkcs11:token=a;key=b", 15, UriFault::Unknown),
        ("pkcs11:library-version=3", 7, UriFault::Unsupported),
        ("pkcs11:slot-description=3", 7, UriFault::Unsupported),
        ("pkcs11:token=a;object=b;token=a", 24, UriFault::Twice),
        ("pkcs11:x-a=1;x-a=1", 13, UriFault::Twice),
        ("pkcs11:token=a%2", 14, UriFault::Percent),
        ("pkcs11:token=%zz", 13, UriFault::Percent),
        ("pkcs11:token=%+1", 13, UriFault::Percent),
        ("pkcs11:token=a b", 14, UriFault::Character),
        ("pkcs11:token=caf\u{e9}", 16, UriFault::Character),
        ("pkcs11:token=a#b", 14, UriFault::Character),
        ("pkcs11:token=a?module-path=/a?b", 29, UriFault::Character),
        ("pkcs11:token=%ff", 7, UriFault::NotUtf8),
        ("pkcs11:object=", 7, UriFault::Empty),
        ("pkcs11:id=", 7, UriFault::Empty),
        ("pkcs11:?module-path=", 8, UriFault::Empty),
        ("pkcs11:slot-id=one", 7, UriFault::NoNumber),
        ("pkcs11:slot-id=-1", 7, UriFault::NoNumber),
        ("pkcs11:type=cert", 7, UriFault::Type),
        ("pkcs11:?module-name=softhsm2", 8, UriFault::ModuleName),
    ] {
        assert_fault(uri, position, fault);
    }
}

#[test]
fn a_pin_is_refused_wherever_it_stands_and_never_shown() {
    for (uri, position) in [
        ("pkcs11:pin-value=48151623", 7),
        ("pkcs11:token=a?pin-value=48151623", 15),
        ("pkcs11:token=a?module-path=/a&pin-value=4815%zz1623", 30),
        ("pkcs11:token=a?pin-value=4815 1623", 15),
    ] {
        let error = uri.parse::<Pkcs11Uri>().unwrap_err();
        assert_eq!((error.position(), error.fault()), (position, UriFault::Pin), "{uri}");
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("4815") && !shown.contains("1623"), "{shown}");
        }
        assert_eq!(error.category(), Category::Usage);
    }
}

fn any_uri() -> impl Strategy<Value = Pkcs11Uri> {
    let text = || proptest::option::of("[ -~\u{e9}\u{4e16}]{1,12}");
    let path = || proptest::option::of("/[a-z :&?;%]{1,12}");
    let id = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..20));
    let rest = (proptest::option::of(any::<u64>()), path(), path());
    (text(), text(), text(), id, rest).prop_map(|(token, serial, object, id, (slot_id, module, pin))| {
        Pkcs11Uri {
            token,
            serial,
            object,
            id,
            slot_id,
            module_path: module.map(PathBuf::from),
            pin_file: pin.map(PathBuf::from),
            ..Pkcs11Uri::default()
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(uri in any_uri()) {
        let written = uri.to_string();
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{}", written);
        prop_assert_eq!(parse(&written), uri);
    }

    #[test]
    fn any_text_is_read_or_refused_within_itself(text in "(pkcs11:)?[ -~\u{e9}]{0,60}") {
        match text.parse::<Pkcs11Uri>() {
            Ok(uri) => prop_assert_eq!(parse(&uri.to_string()), uri),
            Err(error) => prop_assert!(error.position() <= text.len()),
        }
    }

    #[test]
    fn attributes_and_separators_in_any_order(parts in proptest::collection::vec(
        "(token=|object=|id=|pin-value=|pin-source=|module-path=|type=|x-a=|;|&|\\?|%41|%|=|a|/)", 0..12,
    )) {
        let text = format!("pkcs11:{}", parts.concat());
        match text.parse::<Pkcs11Uri>() {
            Ok(uri) => {
                let has_pin = [":pin-value=", ";pin-value=", "?pin-value="].iter().any(|pin| text.contains(pin));
                prop_assert!(!has_pin, "{}", text);
                prop_assert_eq!(parse(&uri.to_string()), uri);
            }
            Err(error) => prop_assert!(error.position() <= text.len()),
        }
    }
}
