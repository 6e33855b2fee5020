//! Writes the files under `fuzz/fixtures/`: once. What is there is not written over, since the corpora are edits of it.

use std::{fs, io::Write as _, path::Path};

use kuvert::{
    Cell, DataKey, EncryptionContext, Kuvert, Layout, OpenOptions, ProviderError, Recipient, RecipientType, SealHandle, SealOptions,
    provider::{GeneratedKey, Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext},
};
use kuvert_fuzz::fixtures::{
    self, CELL, ENVELOPE, ENVELOPE_CONTEXT, ENVELOPE_DEK, FIXTURES, Fixture, Keys, RECORDS, block_on,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        // An empty file stands where a new fixture was declared, since the declaration includes its bytes.
        if fs::metadata(&path).is_ok_and(|known| known.len() > 0) {
            println!("{name}: is there, left as it is");
            return Ok(());
        }
        println!("{name}: {} bytes", bytes.len());
        fs::write(path, bytes)
    };
    for fixture in &FIXTURES {
        write(fixture.name, seal(fixture)?)?;
    }
    let context = EncryptionContext::new(ENVELOPE_CONTEXT)?;
    let (_, envelope) = block_on(handle(ENVELOPE_DEK, "one").new_record_key(&context))?;
    write("envelope.kv", envelope)?;
    let keys = Keys::new();
    // The first time, the envelope was not there when this was built: run it twice.
    if let Ok(key) = block_on(keys.handle(OpenOptions::default()).load_record_key(ENVELOPE, &context)) {
        for (len, _) in RECORDS {
            let [table, column, row] = CELL;
            let record = key.seal(&fixtures::plaintext(len, ENVELOPE_DEK), &Cell::new(table, column, row))?;
            write(&format!("record-{len}.kv"), record)?;
        }
    }
    let context = EncryptionContext::new([("purpose", "orders")])?;
    let (_, envelope) = block_on(handle(9, "one").new_record_key(&context))?;
    write("other-envelope.kv", envelope)?;
    Ok(())
}

fn seal(fixture: &Fixture) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let layout = match fixture.name {
        "rewrappable.kv" => Layout::Rewrappable,
        "detached.kv" => Layout::Detached,
        _ => Layout::Compact,
    };
    let mut context = EncryptionContext::new(fixture.stored.iter().copied())?;
    for &(name, value) in fixture.required {
        context = context.with_required(name, value)?;
    }
    let handle = handle(fixture.dek, fixture.name).with_options(SealOptions::default().with_layout(layout));
    let sealer = block_on(handle.sealer(&context))?;
    let mut message = if layout == Layout::Detached { sealer.header().to_vec() } else { Vec::new() };
    let mut writer = sealer.into_writer(&mut message);
    writer.write_all(&fixture.plaintext())?;
    writer.finish()?;
    Ok(message)
}

fn handle(dek: u8, name: &str) -> SealHandle {
    let many = matches!(name, "recipients.kv" | "rewrappable.kv");
    Kuvert::seal_only(KnownKey { inner: fixtures::provider(), dek, many })
}

/// Seals every message with the same, known data key.
#[derive(Debug)]
struct KnownKey {
    inner: MemoryProvider,
    dek: u8,
    /// Whether to add recipients that nobody here is.
    many: bool,
}

#[kuvert::async_trait]
impl KeyProvider for KnownKey {
    async fn wrap_data_key(&self, key: &DataKey, context: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        let mut recipients = Vec::new();
        if self.many {
            let kms = b"arn:aws:kms:eu-north-1:111122223333:key/x";
            recipients.push(Recipient::new(RecipientType::AES_KWP, *b"stranger", [], [7; 40]));
            recipients.push(Recipient::new(RecipientType::AWS_KMS, *kms, [1, 6].into_iter().chain(*b"tenant").collect::<Vec<_>>(), [1; 60]));
            recipients.push(Recipient::new(RecipientType::PENDING, *b"later", [0, 3], [0]));
            recipients.push(Recipient::new(RecipientType(0x9000), *b"private", *b"params", *b"wrap"));
        }
        recipients.extend(self.inner.wrap_data_key(key, context).await?);
        Ok(recipients)
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let key = DataKey::copy_from(&[self.dek; 32]);
        let recipients = self.wrap_data_key(&key, context).await?;
        Ok(GeneratedKey { key, recipients })
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}
