//! The calls to KMS about one key, each checked before anything of its answer is believed.
//!
//! Every call names the key by its ARN, and every answer must name it, too. Data keys are taken out of the SDK's
//! answers without a copy, and go into its requests in memory that wipes itself. Knows no deadline and no runtime.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, DryRunModifierType, EncryptionAlgorithmSpec};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::NAME;
use super::connection::Connection;
use super::context::Pairs;
use super::failure::{self, BadSignature, INVALID_STATE, KmsFailure, TRIAL_PASSED};
use super::state::KnownState;
use super::trip::Trip;
use crate::crypto::rsa;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::limits::MAX_WRAP_LEN;
use crate::provider::arn::KeyArn;
use crate::secret::{DataKey, Secret};

/// One key in KMS and the client for its region.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) arn: KeyArn,
    /// `None` only where no call is ever made: sealing to an RSA key, and nothing else.
    pub(super) connection: Option<Arc<Connection>>,
    /// Of an RSA key: its public half. A key without one is symmetric.
    pub(super) public: Option<rsa::PublicKey>,
    pub(super) seals: bool,
    pub(super) opens: bool,
    pub(super) state: KnownState,
}

/// How a trial call ended that was not to do anything.
pub(super) enum Trial {
    /// The service says that it would have worked.
    Passed,
    /// The service did it, and gave this back.
    Done(Vec<u8>),
}

impl Key {
    /// Has a data key wrapped by a symmetric key.
    pub(super) async fn encrypt(
        &self,
        key: SecretBytes,
        pairs: Pairs,
        trip: &Trip,
    ) -> Result<Vec<u8>, ProviderError> {
        // Its clones are the same memory.
        let key = key.into_blob();
        let call = |client: &Client| {
            let call = client.encrypt().key_id(self.arn.as_str()).plaintext(key.clone());
            let call = call.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
            call.set_encryption_context(pairs.clone()).customize().interceptor(trip.clone()).send()
        };
        let answer = self.send(trip, call).await?;
        let answer = self.answered(answer, trip).await?;
        self.is_of_this_key(answer.key_id())?;
        let wrap = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        if wrap.is_empty() || wrap.len() > MAX_WRAP_LEN {
            return Err(self.rejected("the wrap in the answer has an impossible length"));
        }
        Ok(wrap)
    }

    /// Has a wrap unwrapped.
    // fmt: K-1
    pub(super) async fn decrypt(
        &self,
        wrap: Vec<u8>,
        pairs: Pairs,
        trip: &Trip,
    ) -> Result<DataKey, ProviderError> {
        let wrap = Blob::new(wrap);
        let call = |client: &Client| {
            let call = client.decrypt().key_id(self.arn.as_str()).ciphertext_blob(wrap.clone());
            let call = call.encryption_algorithm(self.algorithm()).set_encryption_context(pairs.clone());
            call.customize().interceptor(trip.clone()).send()
        };
        let answer = self.send(trip, call).await?;
        let answer = self.answered(answer, trip).await?;
        self.take_key(answer.key_id, answer.plaintext)
    }

    /// Has the service make 32 random bytes.
    pub(super) async fn generate(&self, pairs: Pairs, trip: &Trip) -> Result<DataKey, ProviderError> {
        let call = |client: &Client| {
            let call = client.generate_data_key().key_id(self.arn.as_str()).key_spec(DataKeySpec::Aes256);
            call.set_encryption_context(pairs.clone()).customize().interceptor(trip.clone()).send()
        };
        let answer = self.send(trip, call).await?;
        let answer = self.answered(answer, trip).await?;
        self.take_key(answer.key_id, answer.plaintext)
    }

    /// Asks whether [`encrypt`](Self::encrypt) would work.
    pub(super) async fn try_encrypt(&self, pairs: Pairs, trip: &Trip) -> Result<Trial, ProviderError> {
        let call = |client: &Client| {
            let call = client.encrypt().key_id(self.arn.as_str()).plaintext(Blob::new([0; 32]));
            let call = call.encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
            let call = call.set_encryption_context(pairs.clone()).dry_run(true);
            call.customize().interceptor(trip.clone()).send()
        };
        let answer = self.send(trip, call).await?;
        let answer = self.tried(answer, trip).await?;
        Ok(answer.map_or(Trial::Passed, |done| {
            Trial::Done(done.ciphertext_blob.map(Blob::into_inner).unwrap_or_default())
        }))
    }

    /// Asks whether [`decrypt`](Self::decrypt) would work, without a wrap.
    pub(super) async fn try_decrypt(&self, pairs: Pairs, trip: &Trip) -> Result<Trial, ProviderError> {
        let call = |client: &Client| {
            let call = client.decrypt().key_id(self.arn.as_str()).encryption_algorithm(self.algorithm());
            let call = call.set_encryption_context(pairs.clone()).dry_run(true);
            let call = call.dry_run_modifiers(DryRunModifierType::IgnoreCiphertext);
            call.customize().interceptor(trip.clone()).send()
        };
        let answer = self.send(trip, call).await?;
        let answer = self.tried(answer, trip).await?;
        Ok(answer.map_or(Trial::Passed, |done| {
            drop(done.plaintext.map(take));
            Trial::Done(Vec::new())
        }))
    }

    /// The error of this key, of a kind.
    pub(super) fn error(&self, kind: ProviderErrorKind, what: &'static str) -> ProviderError {
        let failure = KmsFailure::local(what, self.arn.region());
        ProviderError::new(kind, NAME).with_key_id(self.arn.as_str()).with_source(failure)
    }

    fn connection(&self) -> Result<&Connection, ProviderError> {
        let missing = "no client is given for this region";
        self.connection.as_deref().ok_or_else(|| self.error(ProviderErrorKind::Misconfigured, missing))
    }

    /// Makes a call, and once more if the service does not believe who calls: with credentials that are fetched anew,
    /// or a signature of the time that it said.
    async fn send<T, E, C>(
        &self,
        trip: &Trip,
        call: impl Fn(&Client) -> C + Send + Sync,
    ) -> Result<Result<T, SdkError<E, HttpResponse>>, ProviderError>
    where
        E: ProvideErrorMetadata + Send,
        T: Send,
        C: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let connection = self.connection()?;
        let (client, generation) = connection.client();
        let answer = call(&client).await;
        let fault = answer.as_ref().err().and_then(ProvideErrorMetadata::code).and_then(BadSignature::of);
        let again = fault.and_then(|fault| connection.second_chance(generation, fault, trip.clock()));
        match again {
            Some(client) => Ok(call(&client).await),
            None => Ok(answer),
        }
    }

    fn rejected(&self, what: &'static str) -> ProviderError {
        self.error(ProviderErrorKind::Rejected, what)
    }

    fn algorithm(&self) -> EncryptionAlgorithmSpec {
        match self.public {
            Some(_) => EncryptionAlgorithmSpec::RsaesOaepSha256,
            None => EncryptionAlgorithmSpec::SymmetricDefault,
        }
    }

    fn is_of_this_key(&self, answered: Option<&str>) -> Result<(), ProviderError> {
        if answered == Some(self.arn.as_str()) {
            Ok(())
        } else {
            Err(self.rejected("the answer is of another key than was asked for"))
        }
    }

    /// The data key of an answer that is of this key and has the right length.
    fn take_key(&self, answered: Option<String>, plaintext: Option<Blob>) -> Result<DataKey, ProviderError> {
        // Taken out before anything is checked: whatever it is, it is wiped.
        let bytes = plaintext.map(take).unwrap_or_default();
        self.is_of_this_key(answered.as_deref())?;
        DataKey::from_slice(&bytes)
            .ok_or_else(|| self.rejected("the data key in the answer does not have 32 bytes"))
    }

    async fn answered<T, E>(
        &self,
        answer: Result<T, SdkError<E, HttpResponse>>,
        trip: &Trip,
    ) -> Result<T, ProviderError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => failure::sort(&error, self.arn.region()),
        };
        let (mut kind, failure) = error;
        if failure.code() == Some(INVALID_STATE) {
            let (client, _) = self.connection()?.client();
            kind = self.state.ask(&client, self.arn.as_str(), trip.clock()).await.unwrap_or(kind);
        }
        Err(ProviderError::new(kind, NAME).with_key_id(self.arn.as_str()).with_source(failure))
    }

    /// As [`answered`](Self::answered) for a trial: `None` for the error that says that it would have worked.
    async fn tried<T, E>(
        &self,
        answer: Result<T, SdkError<E, HttpResponse>>,
        trip: &Trip,
    ) -> Result<Option<T>, ProviderError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match answer {
            Err(error) if error.code() == Some(TRIAL_PASSED) => Ok(None),
            answer => self.answered(answer, trip).await.map(Some),
        }
    }
}

/// Takes bytes out of an answer of the SDK. An unshared blob gives up its own memory, so that this is the only copy.
fn take(blob: Blob) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(blob.into_inner())
}

/// A data key on its way into a request: in memory that wipes itself when the SDK has dropped the request.
pub(super) struct SecretBytes(Secret<32>);

impl SecretBytes {
    pub(super) fn copy_of(key: &DataKey) -> Self {
        Self(Secret::copy_from(key.expose_bytes()))
    }

    fn into_blob(self) -> Blob {
        Blob::from_maybe_shared(Bytes::from_owner(self))
    }
}

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}
