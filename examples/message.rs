//! One message: seal some bytes, open them again, and see what happens with another context, another key, damage.
//!
//! `cargo run --example message`

use kuvert::{Category, EncryptionContext, blocking::Kuvert, provider::MemoryProvider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Wrapping keys in memory; from a key file, `MemoryProvider::from_key_file(path)`.
    let kuvert = Kuvert::new(MemoryProvider::generate("demo-2026")?);

    // What the data is. Bound to it: it opens for this invoice and no other. The tenant is bound too, but does not
    // stand in the message: whoever opens it has to know it.
    let context =
        EncryptionContext::new([("table", "invoices"), ("id", "42")])?.with_required("tenant", "7")?;

    let invoice = b"Anna Andersson, 1250 SEK";
    let sealed = kuvert.seal(invoice, &context)?;
    println!("sealed {} bytes into {}", invoice.len(), sealed.len());

    let opened = kuvert.open(&sealed, &context)?;
    assert_eq!(opened.as_slice(), invoice);
    println!("opened, and equal; in a log it looks like this: {opened:?}");

    // The same bytes, presented as another invoice.
    let other =
        EncryptionContext::new([("table", "invoices"), ("id", "43")])?.with_required("tenant", "7")?;
    let error = kuvert.open(&sealed, &other).expect_err("it is another invoice");
    assert_eq!(error.category(), Category::WrongContext);
    println!("as invoice 43:    {error}");

    // Somebody who has another key.
    let stranger = Kuvert::new(MemoryProvider::generate("theirs")?);
    let error = stranger.open(&sealed, &context).expect_err("it is another key");
    assert_eq!(error.category(), Category::KeyUnavailable);
    println!("with another key: {error}");

    // One bit changed, in the last byte.
    let mut damaged = sealed.clone();
    *damaged.last_mut().expect("a message is never empty") ^= 1;
    let error = kuvert.open(&damaged, &context).expect_err("it was changed");
    assert_eq!(error.category(), Category::Tampered);
    println!("with a bit flipped: {error}");

    // The end is missing.
    let error = kuvert.open(&sealed[..sealed.len() - 30], &context).expect_err("its end is missing");
    println!("cut short:        {error}");
    Ok(())
}
