//! A key in AWS KMS for every day, and one in an HSM of our own for the day when KMS is gone.
//!
//! `eval "$(bash examples/softhsm.sh)"; cargo run --features https,pkcs11 --example break_glass`
//!
//! The HSM is the one that `KUVERT_EXAMPLE_HSM_KEY` names. KMS is played by the stand-in of kuvert's tests, on this
//! machine, so that it can be lost.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kuvert::provider::pkcs11::Pkcs11Provider;
use kuvert::provider::{AnyOf, Guarded, GuardedOptions, KeyProvider, arn::KeyArn, aws_kms};
use kuvert::{EncryptionContext, Kuvert};

#[path = "../tests/support/fake_kms.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "the tests' own, of which this needs little"
)]
mod fake_kms;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1) {
        Some(key) => kuvert::blocking::block_on(run(&key))?,
        None => run_with_stand_in(),
    }
}

async fn run(kms_key: &str) -> Result<()> {
    let hsm_key = std::env::var("KUVERT_EXAMPLE_HSM_KEY")?;
    let client = aws_kms::client_for(KeyArn::parse(kms_key)?.region().to_owned()).await;
    let kms = aws_kms::AwsKmsProvider::builder().with_client(client).with_sealing_key(kms_key).build()?;
    let mut options = GuardedOptions::default();
    options.deadline = Duration::from_secs(2);
    let kms: Arc<dyn KeyProvider> = Arc::new(Guarded::new(Arc::new(kms), options));
    let hsm: Arc<dyn KeyProvider> = Arc::new(Pkcs11Provider::from_uri(&hsm_key)?.connect().await?);

    // KMS first, since it is the nearer one. Both wrap each data key, or nothing is sealed.
    let kuvert = Kuvert::new(AnyOf::new([kms, hsm.clone()])?);
    let context = EncryptionContext::new([("table", "invoices"), ("id", "42")])?;
    let sealed = kuvert.seal(b"Anna Andersson, 1250 SEK", &context).await?;
    println!("sealed for KMS and for the HSM");

    lose_kms(kms_key)?;
    let opened = kuvert.open(&sealed, &context).await?;
    assert_eq!(opened.as_slice(), b"Anna Andersson, 1250 SEK");
    println!("KMS is gone: the HSM opens");

    // Who has the HSM needs neither KMS nor a configuration that names it.
    let opened = Kuvert::from_arc(hsm).open(&sealed, &context).await?;
    assert_eq!(opened.as_slice(), b"Anna Andersson, 1250 SEK");
    println!("so does it alone");

    let error = kuvert.seal(b"sealed meanwhile", &context).await.expect_err("one of the two is missing");
    println!("nothing is sealed for one alone, unless AnyOf::with_min says so: {error}");
    Ok(())
}

/// Tells the process that plays KMS to end: its standard output is what we have of it.
fn lose_kms(key: &str) -> Result<()> {
    println!("losing {key}");
    let file = std::env::var("KUVERT_EXAMPLE_KMS_ALIVE")?;
    std::fs::remove_file(&file)?;
    // It looks every few milliseconds.
    while !std::path::Path::new(&file).with_extension("gone").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Runs this program once more, in an environment that names the stand-in, which ends when it is told to.
fn run_with_stand_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let alive = folder.path().join("kms.alive");
    std::fs::write(&alive, "")?;
    let kms = fake_kms::FakeKms::start();
    let key = kms.create_key("eu-north-1");
    let mut child = Command::new(std::env::current_exe()?)
        .arg(&key)
        .env("KUVERT_EXAMPLE_KMS_ALIVE", &alive)
        .env("AWS_ENDPOINT_URL_KMS", kms.endpoint())
        .envs([("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")])
        .spawn()?;
    while alive.exists() && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(kms);
    std::fs::write(alive.with_extension("gone"), "")?;
    if child.wait()?.success() { Ok(()) } else { Err("it failed against the stand-in".into()) }
}
