//! A key provider of one's own: the company's key service, as kuvert sees it.
//!
//! `cargo run --example custom_provider`

use kuvert::provider::{Health, KeyInfo, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, EncryptionContext, ProviderError, ProviderErrorKind, Recipient, RecipientType};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering::SeqCst};

type Answer<T> = Result<T, ProviderError>;

/// A number for private use, which no release of kuvert gives a meaning.
const OUR_TYPE: RecipientType = RecipientType(0x8001);

/// What would be a client of the service; here it keeps the wrapping key in this process.
#[derive(Debug)]
struct KeyService {
    keys: MemoryProvider,
    is_disabled: AtomicBool,
}

impl KeyService {
    fn error(kind: ProviderErrorKind) -> ProviderError {
        // Names the key and what to do about it; never key bytes or values of the context.
        ProviderError::new(kind, "key-service").with_key_id("prod")
    }

    async fn answer(&self) -> Answer<()> {
        if self.is_disabled.load(SeqCst) { Err(Self::error(ProviderErrorKind::Disabled)) } else { Ok(()) }
    }
}

#[kuvert::async_trait]
impl KeyProvider for KeyService {
    async fn wrap_data_key(&self, key: &DataKey, context: &WrapContext) -> Answer<Vec<Recipient>> {
        self.answer().await?;
        let wrapped = self.keys.wrap_data_key(key, context).await?;
        Ok(wrapped.into_iter().map(|own| Recipient::new(OUR_TYPE, "prod", [], own.wrap())).collect())
    }

    async fn unwrap_data_key(&self, of: &Recipient, context: &WrapContext) -> Answer<Option<DataKey>> {
        if of.recipient_type() != OUR_TYPE || of.id() != b"prod" {
            return Ok(None); // somebody else's, told without a call
        }
        self.answer().await?;
        let inner = Recipient::new(RecipientType::AES_KWP, "prod", [], of.wrap());
        self.keys.unwrap_data_key(&inner, context).await
    }

    async fn check(&self) -> Answer<Health> {
        self.answer().await.map(|()| Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("key-service").with_key(KeyInfo::new(OUR_TYPE, "prod").with_region("eu-north"))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = KeyService { keys: MemoryProvider::generate("prod")?, is_disabled: AtomicBool::new(false) };
    let service = Arc::new(service);
    let kuvert = kuvert::blocking::Kuvert::from_arc(service.clone());
    let context = EncryptionContext::new([("table", "users"), ("id", "42")])?;

    let sealed = kuvert.seal(b"anna@example.se", &context)?;
    assert_eq!(kuvert.open(&sealed, &context)?.as_slice(), b"anna@example.se");
    println!("sealed {} bytes through {:?}", sealed.len(), service.describe().keys[0].id);

    service.is_disabled.store(true, SeqCst);
    let error = kuvert.open(&sealed, &context).expect_err("the key is disabled");
    println!("with the key disabled: {error}");
    assert_eq!(error.category(), kuvert::Category::KeyUnavailable);
    Ok(())
}
