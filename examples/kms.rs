//! A wrapping key in AWS KMS: seal, open, and see what KMS says to another tenant.
//!
//! `cargo run --features https --example kms -- arn:aws:kms:REGION:ACCOUNT:key/ID`, with credentials (and perhaps an
//! endpoint, `AWS_ENDPOINT_URL`) from the usual AWS environment. Without a key's ARN it says how to call it and ends.

use kuvert::provider::{KeyProvider as _, arn::KeyArn, aws_kms};
use kuvert::{Category, EncryptionContext, Kuvert};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) fn main() -> Result<()> {
    let Some(key) = std::env::var("KUVERT_EXAMPLE_KMS_KEY").ok().or_else(|| std::env::args().nth(1)) else {
        println!("usage: kms arn:aws:kms:REGION:ACCOUNT:key/ID (or set KUVERT_EXAMPLE_KMS_KEY)");
        return Ok(());
    };
    // Any runtime will do, or none, as here.
    kuvert::blocking::block_on(run(&key))?
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
    let context = EncryptionContext::new([("tenant", "7f3a"), ("table", "invoices")])?;
    let sealed = kuvert.seal(b"Anna Andersson, 1250 SEK", &context).await?;

    let opened = kuvert.open(&sealed, &context).await?;
    assert_eq!(opened.as_slice(), b"Anna Andersson, 1250 SEK");
    println!("sealed into {} bytes, opened, and equal", sealed.len());

    let other = EncryptionContext::new([("tenant", "0001"), ("table", "invoices")])?;
    let error = kuvert.open(&sealed, &other).await.expect_err("it is another tenant's");
    assert_eq!(error.category(), Category::WrongContext);
    println!("as another tenant: {error}");

    let health = provider.check().await?;
    println!("ready: {}", health.is_good());
    Ok(())
}
