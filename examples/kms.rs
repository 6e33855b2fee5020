//! A wrapping key in AWS KMS: seal, open, and see what KMS says to another tenant.
//!
//! `cargo run --features https --example kms -- arn:aws:kms:REGION:ACCOUNT:key/ID`, with credentials (and perhaps an
//! endpoint, `AWS_ENDPOINT_URL_KMS`) from the usual AWS environment. Without a key it starts a stand-in for KMS on this
//! machine, that of kuvert's tests, and runs against it: no account is needed to see it work.

use std::process::Command;

use kuvert::provider::{KeyProvider as _, arn::KeyArn, aws_kms};
use kuvert::{Category, EncryptionContext, Kuvert};

#[path = "../tests/support/fake_kms.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "the tests' own, of which this needs little"
)]
mod fake_kms;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) fn main() -> Result<()> {
    match std::env::var("KUVERT_EXAMPLE_KMS_KEY").ok().or_else(|| std::env::args().nth(1)) {
        // Any runtime will do, or none, as here.
        Some(key) => kuvert::blocking::block_on(run(&key))?,
        None => run_with_stand_in(),
    }
}

async fn run(key: &str) -> Result<()> {
    // The eight lines.
    let client = aws_kms::client_for(KeyArn::parse(key)?.region().to_owned()).await;
    let provider = aws_kms::AwsKmsProvider::builder()
        .with_client(client)
        .with_sealing_key(key)
        .with_kms_context(["tenant"]) // KMS checks this pair, too, and writes it to CloudTrail
        .build()?;
    let kuvert = Kuvert::new(provider.clone());
    // Whoever opens has to know the tenant: a required pair is not stored in the message.
    let invoices = EncryptionContext::new([("table", "invoices")])?;
    let context = invoices.clone().with_required("tenant", "7f3a")?;
    let sealed = kuvert.seal(b"Anna Andersson, 1250 SEK", &context).await?;

    let opened = kuvert.open(&sealed, &context).await?;
    assert_eq!(opened.as_slice(), b"Anna Andersson, 1250 SEK");
    println!("sealed into {} bytes, opened, and equal", sealed.len());

    let other = invoices.with_required("tenant", "0001")?;
    let error = kuvert.open(&sealed, &other).await.expect_err("it is another tenant's");
    assert_eq!(error.category(), Category::WrongContext);
    println!("KMS refuses another tenant: {error}");

    let health = provider.check().await?;
    println!("ready: {}", health.is_good());
    Ok(())
}

/// Runs this program once more, in an environment that names the stand-in.
fn run_with_stand_in() -> Result<()> {
    let kms = fake_kms::FakeKms::start();
    let key = kms.create_key("eu-north-1");
    println!("no key is given: a stand-in for KMS listens on {}", kms.endpoint());
    let status = Command::new(std::env::current_exe()?)
        .arg(&key)
        .env("AWS_ENDPOINT_URL_KMS", kms.endpoint())
        .envs([("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")])
        .status()?;
    if status.success() { Ok(()) } else { Err("it failed against the stand-in".into()) }
}
