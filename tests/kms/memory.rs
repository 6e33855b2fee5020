//! No data key that came through KMS is left in this process's memory after it was dropped.
//!
//! A child uses the provider; the service runs here, so that only what the child itself keeps is found there. What is
//! searched for are the keys as the service saw them, also those of calls that were dropped. Their base64 text in the
//! buffers of HTTP is counted and told: it is in the threat model, and not a promise.

use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::AssertUnwindSafe;
use std::process::{Command, Stdio};

use kuvert::DataKey;
use kuvert::provider::aws_kms::AwsKmsProvider;
use kuvert::provider::{CacheOptions, Cached, KeyProvider as _, WrapContext};

use crate::stage::{REGION, builder, wrap_context};
use crate::support::cancel::{PATIENCE, Polled, poll_at_most, wait};
use crate::support::fake_kms::{FakeKms, Fault};
use crate::support::memscan::{Found, Needle, scan};

const ENDPOINT: &str = "KUVERT_TEST_KMS_ENDPOINT";
const KEY: &str = "KUVERT_TEST_KMS_KEY";

/// Has the parent do what the label says, and waits for it.
fn tell(label: &str) {
    println!("@{:x} {label}", std::ptr::from_ref(&label) as usize);
    assert_eq!(std::io::stdin().lock().read_line(&mut String::new()).unwrap(), 1, "the parent answers");
}

#[test]
fn child() {
    let (Ok(endpoint), Ok(arn)) = (std::env::var(ENDPOINT), std::env::var(KEY)) else { return };
    println!();
    let provider = builder(&endpoint).with_sealing_key(arn).with_kms_randomness(true).build().unwrap();
    let context = wrap_context();
    let mut made = wait(provider.generate_data_key(&context)).unwrap();
    tell("using");
    for _ in 0..200 {
        drop(made);
        made = wait(provider.generate_data_key(&context)).unwrap();
        drop(wait(provider.unwrap_data_key(&made.recipients[0], &context)).unwrap().unwrap());
    }
    let recipients = made.recipients;
    drop(made.key);
    tell("idle");
    tell("long");
    wait(provider.unwrap_data_key(&recipients[0], &context)).unwrap_err();
    tell("mend");
    tell("idle");
    for polls in 0..40 {
        let call = async { drop(wait_for_both(&provider, &recipients[0], &context).await) };
        if matches!(poll_at_most(call, polls, PATIENCE), Polled::Ready(..)) {
            break;
        }
    }
    tell("idle");
    // A panic while a key is held, in the middle of a call.
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        wait(async {
            let _held = provider.generate_data_key(&context).await.unwrap();
            let _other = provider.unwrap_data_key(&recipients[0], &context).await.unwrap();
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    tell("idle");
    evicted(provider, &context);
    tell("dropped");
    // A key that nobody wipes: the search has to see it.
    let leaked = DataKey::copy_from(&PLANTED);
    std::mem::forget(leaked);
    tell("planted");
}

/// A cache of one key, from which the second drives out the first.
fn evicted(provider: AwsKmsProvider, context: &WrapContext) {
    let made: Vec<_> =
        (0..2).map(|_| wait(provider.generate_data_key(context)).unwrap().recipients).collect();
    let cache = Cached::new(provider, CacheOptions::default().with_max_entries(1));
    for recipients in &made {
        drop(wait(cache.unwrap_data_key(&recipients[0], context)).unwrap().unwrap());
    }
    assert_eq!((cache.stats().entries, cache.stats().evicted), (1, 1));
    tell("cached");
    cache.purge();
    tell("idle");
    drop(wait(cache.unwrap_data_key(&made[0][0], context)).unwrap().unwrap());
    assert_eq!(cache.stats().entries, 1);
}

async fn wait_for_both(
    provider: &AwsKmsProvider,
    recipient: &kuvert::Recipient,
    context: &WrapContext,
) -> Option<DataKey> {
    drop(provider.generate_data_key(context).await.ok()?);
    provider.unwrap_data_key(recipient, context).await.ok()?
}

/// Read-only in the child, where the search does not look: only a copy is found.
static PLANTED: [u8; 32] = *b"\x17planted, and wiped by nobody:)\xe9";

/// Raw keys, and their base64 text.
fn needles(keys: &[Vec<u8>]) -> Vec<Needle> {
    use base64ct::{Base64, Encoding as _};
    let raw = keys.iter().map(|key| Needle { name: "key".to_owned(), secret: key.clone() });
    // Without its last characters, in which the padding is.
    let text = |key: &Vec<u8>| Base64::encode_string(key).as_bytes()[..40].to_vec();
    raw.chain(keys.iter().map(|key| Needle { name: "base64".to_owned(), secret: text(key) })).collect()
}

fn total(needles: &[Needle], found: &[Found], name: &str) -> usize {
    needles.iter().zip(found).filter(|(needle, _)| needle.name == name).map(|(_, found)| found.total()).sum()
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_data_keys_that_came_through_kms() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::child", "--nocapture", "--test-threads=1"])
        .env(ENDPOINT, fake.endpoint())
        .env(KEY, &arn)
        // The C library gives no freed memory back to the system, so that nothing escapes the search that way.
        .env("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=2147483648:glibc.malloc.mmap_threshold=33554432")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_child = child.stdin.take().unwrap();
    let mut labels = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        let Some((stack, label)) = line.strip_prefix('@').and_then(|told| told.split_once(' ')) else {
            continue;
        };
        let long: Vec<u8> = (100..148).collect();
        match label {
            "long" => fake.fault(Fault::plaintext(&long)),
            "mend" => fake.mend(),
            _ => {
                let mut keys = vec![long];
                keys.extend(fake.plaintexts());
                if label == "planted" {
                    keys = vec![PLANTED.to_vec()];
                }
                let needles = needles(&keys);
                let stack = u64::from_str_radix(stack, 16).unwrap();
                let found = scan(child.id(), stack, &needles).expect("a parent may read its child's memory");
                let (raw, text) = (total(&needles, &found, "key"), total(&needles, &found, "base64"));
                println!("{label}: of {} keys {raw} copies, and {text} of their base64 text", keys.len());
                // Of the keys that passed, the cache holds the last one.
                let last = needles[keys.len() - 1].secret.clone();
                match label {
                    "cached" => {
                        let rest = needles.iter().zip(&found).filter(|(needle, _)| needle.secret != last);
                        let rest: usize = rest
                            .filter(|(needle, _)| needle.name == "key")
                            .map(|(_, found)| found.total())
                            .sum();
                        assert!(raw > 0, "the search is blind for what the cache holds");
                        assert_eq!(rest, 0, "of keys that were evicted");
                    }
                    "using" | "planted" => assert!(raw > 0, "{label}: the search is blind"),
                    _ => assert_eq!(raw, 0, "{label}: {needles:?} {found:?}"),
                }
            }
        }
        labels.push(label.to_owned());
        writeln!(to_child).unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(
        labels,
        ["using", "idle", "long", "mend", "idle", "idle", "idle", "cached", "idle", "dropped", "planted"]
    );
    assert!(fake.plaintexts().len() > 400, "{} keys passed", fake.plaintexts().len());
}
