//! What goes along with one call of the provider: its clock, and how far its request came.
//!
//! The SDK reports a source of credentials that hangs as nothing at all. Only how far a request came tells it from a
//! service that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_sdk_kms::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::failure::KmsFailure;
use crate::clock::Clock;

/// One call, from its start to its deadline. Its clones are the same call.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    clock: Arc<dyn Clock>,
    came: Arc<AtomicU8>,
}

impl Trip {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Arc::clone(clock), came: Arc::default() }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// What to say if the call has not ended by now.
    pub(super) fn late(&self, region: &str) -> KmsFailure {
        if self.came.load(Ordering::Relaxed) == BEGUN {
            return KmsFailure::local(
                "the source of the AWS credentials gave none before the deadline",
                region,
            )
            .about_credentials();
        }
        KmsFailure::local("no answer before the deadline", region)
    }
}

/// Between these two the SDK does nothing that takes time, except that it asks for credentials.
#[dyn_dispatch_hint]
impl Intercept for Trip {
    fn name(&self) -> &'static str {
        "kuvert"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.came.fetch_max(BEGUN, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.came.fetch_max(LEFT, Ordering::Relaxed);
        Ok(())
    }
}

const BEGUN: u8 = 1;
const LEFT: u8 = 2;
