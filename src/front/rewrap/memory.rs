//! Rewrapping what is in memory: messages, detached headers, key envelopes.

use super::{Rewrap, RewrapReport, plan::Plan};
use crate::{
    error::RewrapError,
    format::{
        context::{EncryptionContext, Role},
        header::Header,
    },
    front::{
        MessageStart,
        opener::{check_header_len, parse_envelope},
    },
    limits::BODY_START_LEN,
};

impl Rewrap {
    /// Rewraps a whole message in memory; gives back the message with its new header. The body is copied as it
    /// stands, and not opened.
    ///
    /// # Errors
    ///
    /// [`RewrapError::Open`] if the keys do not open the message; [`RewrapError::Seal`] if the new ones do not wrap;
    /// [`RewrapError::Refused`] for a change that would lose the message or go behind somebody's back, as the
    /// [options](super::RewrapOptions) tell; [`RewrapError::NoRoom`] with
    /// [`in_place_only`](super::RewrapOptions#structfield.in_place_only).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn message(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        let limit = self.opening.options.max_header_len;
        let start = MessageStart::within(limit).parse(message)?;
        let plan = self.plan_for(&start, context).await?;
        let (header, body) = message.split_at(start.header.as_bytes().len());
        Ok(plan.finish(header, body))
    }

    /// Rewraps a detached header, given the first 56 bytes of its body (salt and commitment); gives back the new one,
    /// which is to replace it as a whole.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn detached(
        &self,
        header: &[u8],
        body_start: &[u8; BODY_START_LEN],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        let start = MessageStart::read_detached(&mut { header }, &mut &body_start[..])?;
        let plan = self.plan_for(&start, context).await?;
        Ok(plan.finish(header, &[]))
    }

    /// Rewraps the envelope of a record key; gives back the new one, to be stored in its place. The records under it
    /// are untouched.
    ///
    /// # Errors
    ///
    /// As [`message`](Self::message), and what [`load_record_key`](crate::OpenHandle::load_record_key) refuses;
    /// recipients that anybody can wrap for (RSA) are refused.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn envelope(
        &self,
        envelope: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        let options = &self.opening.options;
        let (header, body_start, tag) = parse_envelope(envelope, options.max_header_len)?;
        let (bound, _) = header.bind_envelope(context, Role::Record, None, options.accept_stored_context)?;
        let plan = self.plan(&header, &bound, &body_start).await?;
        plan.unwrapped.verify_empty_body(tag)?;
        let (header, body) = envelope.split_at(header.as_bytes().len());
        Ok(plan.finish(header, body))
    }

    /// [`plan`](Self::plan) for what was read of a message.
    pub(super) async fn plan_for(
        &self,
        start: &MessageStart,
        context: &EncryptionContext,
    ) -> Result<Plan, RewrapError> {
        let options = &self.opening.options;
        let header: &Header = &start.header;
        check_header_len(header.as_bytes().len(), options.max_header_len)?;
        let bound = header.bind(context, options.accept_stored_context)?;
        self.plan(header, &bound, &start.body_start).await
    }
}

impl Plan {
    fn finish(self, header: &[u8], body: &[u8]) -> (Vec<u8>, RewrapReport) {
        let mut new = header.to_vec();
        self.apply(&mut new);
        new.extend_from_slice(body);
        (new, self.report)
    }
}
