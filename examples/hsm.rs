//! A wrapping key in a hardware security module, over PKCS#11: seal, open, and see what the token says of itself.
//!
//! `cargo run --features pkcs11 --example hsm -- 'pkcs11:token=...;object=...;id=%01?module-path=...&pin-source=file:...'`
//!
//! With no token at hand, make one in software: `eval "$(bash examples/softhsm.sh)"`, and leave the argument out.

use kuvert::provider::KeyProvider as _;
use kuvert::provider::pkcs11::Pkcs11Provider;
use kuvert::{Category, EncryptionContext, Kuvert};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let key = std::env::args().nth(1).or_else(|| std::env::var("KUVERT_EXAMPLE_HSM_KEY").ok());
    let key = key.ok_or("name a key by its pkcs11: URI, or run: eval \"$(bash examples/softhsm.sh)\"")?;
    kuvert::blocking::block_on(run(&key))?
}

async fn run(key: &str) -> Result<()> {
    // The eight lines.
    let provider = Pkcs11Provider::from_uri(key)?.connect().await?;
    let kuvert = Kuvert::new(provider.clone());
    let context = EncryptionContext::new([("table", "invoices"), ("id", "42")])?;
    let sealed = kuvert.seal(b"Anna Andersson, 1250 SEK", &context).await?;
    let opened = kuvert.open(&sealed, &context).await?;
    assert_eq!(opened.as_slice(), b"Anna Andersson, 1250 SEK");
    provider.check().await?;
    println!(
        "sealed into {} bytes under {}, opened, and equal",
        sealed.len(),
        provider.describe().keys[0].id
    );

    let report = provider.report().await;
    let token = report.token.ok_or("the token does not answer")?;
    println!("token \"{}\", {}: {:?}, {} wraps", token.label, token.library, report.state, report.wraps);
    report.warnings.iter().for_each(|warning| println!("warning: {warning}"));

    let elsewhere = EncryptionContext::new([("table", "invoices"), ("id", "43")])?;
    let error = kuvert.open(&sealed, &elsewhere).await.expect_err("it is another invoice's");
    assert_eq!(error.category(), Category::WrongContext);
    println!("another invoice's context: {error}");
    Ok(())
}
