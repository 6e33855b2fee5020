//! Why a key is in an invalid state: KMS has one error code for several reasons, which mean different things to do.
//!
//! One `DescribeKey` says; its answer is kept for a while, so that a key that is gone does not double every call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyState;

use crate::clock::Clock;
use crate::error::ProviderErrorKind;

/// What was last heard about a key's state.
#[derive(Debug, Default)]
pub(super) struct KnownState(Mutex<Option<(Instant, Option<ProviderErrorKind>)>>);

impl KnownState {
    /// What kind of failure the key's state is: `None` if the service does not say.
    pub(super) async fn ask(
        &self,
        client: &Client,
        arn: &str,
        clock: &dyn Clock,
    ) -> Option<ProviderErrorKind> {
        if let Some((heard, kind)) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            if clock.now().saturating_duration_since(heard) < KEPT {
                return kind;
            }
        }
        let answer = client.describe_key().key_id(arn).send().await.ok();
        let kind = answer.and_then(|answer| answer.key_metadata?.key_state).map(|state| kind(&state));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock.now(), kind));
        kind
    }
}

fn kind(state: &KeyState) -> ProviderErrorKind {
    match state {
        KeyState::PendingDeletion | KeyState::PendingReplicaDeletion => ProviderErrorKind::PendingDeletion,
        // Its material expired or was taken away: somebody has to bring it back.
        KeyState::Disabled | KeyState::PendingImport => ProviderErrorKind::Disabled,
        _ => ProviderErrorKind::Unavailable,
    }
}

/// How long an answer is believed.
const KEPT: Duration = Duration::from_secs(10);
