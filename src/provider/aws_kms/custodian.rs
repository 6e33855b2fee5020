//! Creating keys in AWS KMS and having them destroyed. A right of its own, which no service that seals or opens needs.
//!
//! Section "Keys in AWS KMS" of the [operations manual](crate::manual::operations).

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::super::KeyCustodian;
use super::super::arn::{ArnError, KeyArn};
use super::NAME;
use super::failure::{self, INVALID_STATE, KmsFailure};
use super::runtime::Calls;
use crate::clock::{Clock, SystemClock};
use crate::error::{ProviderError, ProviderErrorKind};

/// Creates symmetric keys in one region of AWS KMS, and schedules the deletion of keys there.
///
/// A key that is to be destroyed stops working at once; KMS destroys it after a waiting period of 7 to 30 days, in
/// which the deletion can still be cancelled, in AWS and not here. AWS may take some seconds until the last of its
/// hosts has heard of it.
///
/// # Security
///
/// `kms:ScheduleKeyDeletion` is the right to destroy everything that is sealed with the key. Keep it with people, or
/// with the one job that erases.
#[derive(Clone)]
pub struct AwsKmsCustodian {
    client: Client,
    region: String,
    waiting_days: i32,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    calls: Arc<Calls>,
}

impl AwsKmsCustodian {
    /// Over a client of the region in which the keys are, with a waiting period of 30 days and a deadline of 3 s.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] if the client has no region.
    pub fn new(client: Client) -> Result<Self, ProviderError> {
        let region = client.config().region().map(ToString::to_string).ok_or_else(|| {
            ProviderError::new(ProviderErrorKind::Misconfigured, NAME)
                .with_source("the client has no region: build it with one")
        })?;
        let (clock, deadline): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Duration::from_secs(3));
        let calls = Arc::new(Calls::new(Arc::clone(&clock), deadline));
        Ok(Self { client, region, waiting_days: MAX_DAYS, clock, deadline, calls })
    }

    /// Has keys destroyed after so many days, 7 to 30; what is less or more becomes that.
    #[must_use]
    pub fn with_waiting_days(mut self, days: u8) -> Self {
        self.waiting_days = i32::from(days).clamp(MIN_DAYS, MAX_DAYS);
        self
    }

    /// How long any one call may take.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self.calls = Arc::new(Calls::new(Arc::clone(&self.clock), deadline));
        self
    }

    /// Counts the deadline by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.calls = Arc::new(Calls::new(Arc::clone(&clock), self.deadline));
        self.clock = clock;
        self
    }
}

#[async_trait]
impl KeyCustodian for AwsKmsCustodian {
    /// The name becomes the key's description: keys in KMS have no unique names.
    async fn create_wrapping_key(&self, name: &str) -> Result<String, ProviderError> {
        if name.is_empty() || name.len() > MAX_DESCRIPTION {
            return Err(ProviderError::new(ProviderErrorKind::Misconfigured, NAME)
                .with_source("the name of a key in KMS has 1 to 8192 bytes"));
        }
        let (client, region, name) = (self.client.clone(), self.region.clone(), name.to_owned());
        let trip = self.calls.trip();
        let own = trip.clone();
        let call = async move {
            let call = client.create_key().description(name);
            let answer = call.customize().interceptor(own).send().await;
            let answer = answer.map_err(|failed| sorted(&failed, &region))?;
            answer.key_metadata.and_then(|made| made.arn).ok_or_else(|| {
                ProviderError::new(ProviderErrorKind::Other, NAME)
                    .with_source(KmsFailure::local("the answer names no key", &region))
            })
        };
        self.calls.run(&self.region, &trip, call).await
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        let error = |kind| ProviderError::new(kind, NAME).with_key_id(id);
        match KeyArn::parse(id) {
            Ok(arn) if arn.region() == self.region => {}
            Ok(_) => {
                return Err(error(ProviderErrorKind::Misconfigured)
                    .with_source("the key is in another region than this custodian's client"));
            }
            Err(alias @ ArnError::Alias { .. }) => {
                return Err(error(ProviderErrorKind::Misconfigured).with_source(alias));
            }
            // A text that can be no key's name is no key's.
            Err(fault) => return Err(error(ProviderErrorKind::NotFound).with_source(fault)),
        }
        let (client, region, key, days) =
            (self.client.clone(), self.region.clone(), id.to_owned(), self.waiting_days);
        let trip = self.calls.trip();
        let own = trip.clone();
        let call = async move {
            let call = client.schedule_key_deletion().key_id(&key).pending_window_in_days(days);
            let answer = call
                .customize()
                .interceptor(own)
                .send()
                .await
                .map_err(|failed| sorted(&failed, &region).with_key_id(&*key))?;
            let date = answer.deletion_date.and_then(|date| SystemTime::try_from(date).ok());
            date.filter(|_| answer.key_id.as_deref() == Some(&*key)).ok_or_else(|| {
                ProviderError::new(ProviderErrorKind::Other, NAME)
                    .with_key_id(&*key)
                    .with_source(KmsFailure::local("the answer names another key, or no date", &region))
            })
        };
        self.calls.run(&self.region, &trip, call).await
    }
}

impl fmt::Debug for AwsKmsCustodian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsCustodian")
            .field("region", &self.region)
            .field("waiting_days", &self.waiting_days)
            .finish_non_exhaustive()
    }
}

fn sorted<E>(failed: &SdkError<E, HttpResponse>, region: &str) -> ProviderError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, failure) = failure::sort(failed, region);
    // The one state in which a key cannot be scheduled for deletion is that it is already.
    let kind = if failure.code() == Some(INVALID_STATE) { ProviderErrorKind::PendingDeletion } else { kind };
    ProviderError::new(kind, NAME).with_source(failure)
}

const MIN_DAYS: i32 = 7;
const MAX_DAYS: i32 = 30;
const MAX_DESCRIPTION: usize = 8192;
