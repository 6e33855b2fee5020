//! Two regions: lose one, go on sealing and opening, and mend what was sealed meanwhile when it is back.
//!
//! `cargo run --example two_regions`
//!
//! The regions are played by keys in memory; with feature `aws-kms` they would be two KMS providers.

#[path = "shared/region.rs"]
mod region;

use kuvert::provider::{AnyOf, Guarded, GuardedOptions};
use kuvert::{EncryptionContext, Kuvert, ProviderErrorKind};
use region::Region;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (frankfurt, paris) = (Region::new("frankfurt"), Region::new("paris"));
    let guarded = |region: &Arc<Region>| Arc::new(Guarded::new(region.clone(), GuardedOptions::default()));
    // The nearest first. One region is enough to seal: the other one is made up for later.
    let both = Arc::new(AnyOf::new([guarded(&frankfurt) as _, guarded(&paris) as _])?.with_min(1)?);
    let kuvert = Kuvert::from_arc(both.clone());
    let context = EncryptionContext::new([("table", "invoices"), ("id", "42")])?;

    let message = kuvert.seal(b"sealed in quiet times", &context).await?;

    frankfurt.set(Some(ProviderErrorKind::Unavailable));
    println!("frankfurt is down");
    assert_eq!(kuvert.open(&message, &context).await?.as_slice(), b"sealed in quiet times");
    println!("  what was sealed before opens through paris");

    let mut writer = kuvert.sealer(&context).await?.into_writer(Vec::new());
    std::io::Write::write_all(&mut writer, b"sealed meanwhile")?;
    let (meanwhile, report) = writer.finish()?;
    let pending: Vec<_> = report.pending.iter().map(|name| name.id.as_str()).collect();
    println!("  sealed for {} region; pending: {pending:?}", report.recipients.len());
    assert_eq!((report.recipients.len(), pending.len()), (1, 1));

    frankfurt.set(None);
    let (mended, report) = kuvert.repair_arc(both.clone()).message(&meanwhile, &context).await?;
    println!("frankfurt is back; repair: {:?}, {} recipients", report.outcome, report.recipients.len());
    assert!(report.pending.is_empty());

    paris.set(Some(ProviderErrorKind::Unavailable));
    assert_eq!(kuvert.open(&mended, &context).await?.as_slice(), b"sealed meanwhile");
    println!("paris is down: the mended message opens through frankfurt");
    paris.set(None);

    // Somebody takes the right to use frankfurt's key away. That is no outage, and paris is no way around it.
    frankfurt.set(Some(ProviderErrorKind::AccessDenied));
    let error = Kuvert::from_arc(fresh(&frankfurt, &paris)?)
        .open(&mended, &context)
        .await
        .expect_err("a denial is not worked around");
    println!("access to frankfurt is denied: {error}");
    assert_eq!(error.category(), kuvert::Category::KeyUnavailable);
    Ok(())
}

/// The same two without a memory of who was down.
fn fresh(first: &Arc<Region>, second: &Arc<Region>) -> Result<Arc<AnyOf>, kuvert::ProviderError> {
    Ok(Arc::new(AnyOf::new([first.clone() as _, second.clone() as _])?))
}
