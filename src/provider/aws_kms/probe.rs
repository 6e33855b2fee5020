//! Whether sealing and opening would work now: trial calls, and a real round where a service knows no trials.
//!
//! For readiness checks, not for liveness: a restart mends nothing of it, and throws away what was cached.

use std::sync::Arc;

use super::calls::{Key, SecretBytes, Trial};
use super::context::Pairs;
use super::trip::Trip;
use crate::crypto::random;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::secret::DataKey;

/// Tries everything that one key is configured for.
pub(super) async fn probe(key: Arc<Key>, pairs: Pairs, trip: Trip) -> Result<(), ProviderError> {
    let pairs = if key.public.is_some() { None } else { pairs };
    if key.seals && key.public.is_none() {
        if let Trial::Done(wrap) = key.try_encrypt(pairs.clone(), &trip).await? {
            // It did what it should only have tried. Then the wrap that it gave is the canary.
            return if key.opens { opens_canary(&key, wrap, pairs, &trip).await } else { Ok(()) };
        }
    }
    if !key.opens {
        return Ok(());
    }
    match key.try_decrypt(pairs.clone(), &trip).await {
        Ok(_) => Ok(()),
        // Denied, disabled, gone: that is the answer. An answer about the request itself is not.
        Err(error) if !is_about_the_request(error.kind()) => Err(error),
        Err(_) if key.seals || key.public.is_some() => round(&key, pairs, &trip).await,
        // Nothing to open and nothing to wrap with: a wrap that is none shows that the key may be asked.
        Err(_) => match key.decrypt(vec![0; 64], pairs, &trip).await {
            Err(error) if error.kind() != ProviderErrorKind::Rejected => Err(error),
            _ => Ok(()),
        },
    }
}

/// A service that knows no trials says so in one of several ways.
fn is_about_the_request(kind: ProviderErrorKind) -> bool {
    matches!(
        kind,
        ProviderErrorKind::Misconfigured
            | ProviderErrorKind::Rejected
            | ProviderErrorKind::Other
            | ProviderErrorKind::Unavailable
    )
}

/// Wraps a key that nothing is sealed with, and unwraps it.
async fn round(key: &Key, pairs: Pairs, trip: &Trip) -> Result<(), ProviderError> {
    let canary = DataKey::try_filled_by(|bytes| random::fill(bytes))
        .map_err(|_| key.error(ProviderErrorKind::Other, "the operating system gave no random bytes"))?;
    let wrap = match &key.public {
        Some(public) => public
            .wrap(canary.expose_bytes())
            .map_err(|_| key.error(ProviderErrorKind::Other, "the RSA wrap failed"))?,
        None => key.encrypt(SecretBytes::copy_of(&canary), pairs.clone(), trip).await?,
    };
    let back = key.decrypt(wrap, pairs, trip).await?;
    if back.expose_bytes() == canary.expose_bytes() {
        Ok(())
    } else {
        Err(key.error(ProviderErrorKind::Rejected, "the key service gave back another key than was wrapped"))
    }
}

async fn opens_canary(key: &Key, wrap: Vec<u8>, pairs: Pairs, trip: &Trip) -> Result<(), ProviderError> {
    let back = key.decrypt(wrap, pairs, trip).await?;
    if back.expose_bytes() == &[0; 32] {
        Ok(())
    } else {
        Err(key.error(ProviderErrorKind::Rejected, "the key service gave back another key than was wrapped"))
    }
}
