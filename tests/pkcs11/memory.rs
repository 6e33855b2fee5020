//! No data key that went through a token, and no PIN, is left in this process's memory after it was dropped.
//!
//! A child uses the provider over SoftHSM; this process unwraps what the child made, by a provider of its own, and so
//! knows what to look for. The module is in the child, too: what is claimed is claimed of both together, for SoftHSM.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{Pkcs11Pin, Pkcs11Provider, Pkcs11Wrap};
use kuvert::{DataKey, Recipient};

use crate::memscan::{Needle, from_hex, scan, to_hex};
use crate::stage::{SO_PIN, Stage, run, staged, wrap_context};

const URI: &str = "KUVERT_TEST_TOKEN_URI";
/// As long as a key, so that a part of it is found as well. Read-only in the child, where the search does not look.
const LONG_PIN: &str = "a PIN that is as long as any key";
static PLANTED: [u8; 32] = *b"\x17planted, and wiped by nobody:)\xe9";

fn provider(uri: &str, wrap: Pkcs11Wrap) -> Pkcs11Provider {
    let label = if wrap == Pkcs11Wrap::AesKwp { "kwp" } else { "gcm" };
    let builder = Pkcs11Provider::from_uri(&uri.replace("LABEL", label)).unwrap().with_wrap(wrap);
    let builder = if wrap == Pkcs11Wrap::AesKwp { builder.with_mechanism(0x210a) } else { builder };
    block_on(builder.connect()).unwrap().unwrap()
}

fn unwrap(provider: &Pkcs11Provider, recipient: &Recipient) -> Option<DataKey> {
    block_on(provider.unwrap_data_key(recipient, &wrap_context())).unwrap().ok().flatten()
}

/// Tells the parent what was wrapped since the last time, and waits for it.
fn tell(label: &str, made: &mut Vec<Recipient>) {
    let wraps: Vec<String> = made.drain(..).map(|recipient| to_hex(recipient.wrap())).collect();
    println!("@{:x} {label} {}", std::ptr::from_ref(&label) as usize, wraps.join(" "));
    assert_eq!(std::io::stdin().lock().read_line(&mut String::new()).unwrap(), 1, "the parent answers");
}

#[test]
fn child() {
    let Ok(uri) = std::env::var(URI) else { return };
    println!();
    let mut told = Vec::new();
    for wrap in [Pkcs11Wrap::AesGcm, Pkcs11Wrap::AesKwp] {
        let provider = provider(&uri, wrap);
        let make = || block_on(provider.generate_data_key(&wrap_context())).unwrap().unwrap();
        let held = make();
        told.extend(held.recipients);
        tell("using", &mut told);
        drop(held.key);
        let mut recipients = Vec::new();
        for _ in 0..100 {
            let made = make();
            drop(unwrap(&provider, &made.recipients[0]).unwrap());
            recipients.extend(made.recipients);
        }
        told.extend(recipients.iter().cloned());
        tell("idle", &mut told);
        for (place, recipient) in recipients.iter().enumerate() {
            let mut wrap = recipient.wrap().to_vec();
            wrap[place % 40] ^= 1;
            let id = String::from_utf8(recipient.id().to_vec()).unwrap();
            assert!(
                unwrap(&provider, &Recipient::new(recipient.recipient_type(), id, Vec::new(), wrap))
                    .is_none()
            );
        }
        tell("idle", &mut told);
        // Calls that nobody waits for: their keys go with the answers.
        for recipient in &recipients {
            let context = wrap_context();
            let mut call = provider.unwrap_data_key(recipient, &context);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(call.as_mut().poll(&mut cx).is_pending() || recipient.wrap().len() > 1);
        }
        drop(unwrap(&provider, &recipients[0]).unwrap());
        tell("idle", &mut told);
        drop(provider);
        tell("idle", &mut told);
    }
    // A key and a PIN that nobody wipes: the search has to see them.
    std::mem::forget(DataKey::copy_from(&PLANTED));
    std::mem::forget(LONG_PIN.to_owned());
    drop(Pkcs11Pin::new(LONG_PIN));
    tell("planted", &mut told);
}

/// The keys in the wraps of a line, by which provider can open them.
fn keys<'l>(providers: &[Pkcs11Provider; 2], wraps: impl Iterator<Item = &'l str>) -> Vec<Vec<u8>> {
    let key = |text: &str| {
        let wrap = from_hex(text).unwrap();
        let provider = &providers[usize::from(wrap.len() == 40)];
        let own = &provider.describe().keys[0];
        let recipient = Recipient::new(own.recipient_type, own.id.as_str(), Vec::new(), wrap);
        unwrap(provider, &recipient).unwrap().expose_bytes().to_vec()
    };
    wraps.map(key).collect()
}

staged! {
    #[cfg_attr(not(target_os = "linux"), ignore = "the memory of a child is read on Linux only")]
    fn nothing_is_left_of_data_keys_and_of_the_pin(stage: &Stage) {
        if crate::sanitizer::is_on() {
            // It keeps freed memory, and maps more of it than can be searched.
            return;
        }
        run("softhsm2-util", ["--init-token", "--free", "--label", "ours", "--so-pin", SO_PIN, "--pin", LONG_PIN]);
        let module = stage.module().to_str().unwrap();
        for label in ["gcm", "kwp"] {
            let start = ["--module", module, "--token-label", "ours", "--login", "--pin", LONG_PIN];
            let key = ["--keygen", "--key-type", "AES:32", "--label", label, "--id", "01", "--sensitive"];
            run("pkcs11-tool", start.into_iter().chain(key));
        }
        let pin = stage.file("long-pin", LONG_PIN.as_bytes(), 0o600);
        let uri = format!("pkcs11:token=ours;object=LABEL;id=%01?module-path={module}&pin-source=file:{}", pin.display());
        let providers = [Pkcs11Wrap::AesGcm, Pkcs11Wrap::AesKwp].map(|wrap| provider(&uri, wrap));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::child", "--nocapture", "--test-threads=1"])
            .env(URI, &uri)
            // The C library gives no freed memory back to the system, so that nothing escapes the search that way.
            .env("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=2147483648:glibc.malloc.mmap_threshold=33554432")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to_child = child.stdin.take().unwrap();
        let (mut labels, mut secrets) = (Vec::new(), Vec::new());
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            let Some((stack, told)) = line.strip_prefix('@').and_then(|told| told.split_once(' ')) else { continue };
            let mut words = told.split_whitespace();
            let label = words.next().unwrap();
            secrets.extend(keys(&providers, words));
            let needle = |name: &str, secret: &[u8]| Needle { name: name.to_owned(), secret: secret.to_vec() };
            let mut needles = vec![needle("the PIN", LONG_PIN.as_bytes())];
            match label {
                "planted" => needles.push(needle("a key", &PLANTED)),
                _ => needles.extend(secrets.iter().map(|key| needle("a key", key))),
            }
            let stack = u64::from_str_radix(stack, 16).unwrap();
            let found = scan(child.id(), stack, &needles).expect("a parent may read its child's memory");
            let of_keys: usize = found[1..].iter().map(|found| found.total()).sum();
            println!("{label}: {of_keys} copies of {} keys, {} of the PIN", found.len() - 1, found[0].total());
            match label {
                "using" => assert!(of_keys > 0 && found[0].total() == 0, "{found:?}"),
                "planted" => assert!(of_keys > 0 && found[0].total() > 0, "the search is blind: {found:?}"),
                _ => assert_eq!((of_keys, found[0].total()), (0, 0), "{found:?}"),
            }
            labels.push(label.to_owned());
            writeln!(to_child).unwrap();
        }
        assert!(child.wait().unwrap().success());
        let each = ["using", "idle", "idle", "idle", "idle"];
        assert_eq!(labels, [&each[..], &each, &["planted"]].concat());
        assert_eq!(secrets.len(), 202);
    }
}
