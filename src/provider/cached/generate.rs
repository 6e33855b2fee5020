//! Fresh data keys: from the provider inside, one for each message, and some in stock for when it cannot be reached.
//!
//! Nothing is shared here: two callers that got one answer would seal two messages with one key.

use super::{Cached, GeneratedKey, State, WrapContext, load::says_gone, stock::Order};
use crate::{
    cache_slot::Wakers,
    error::{ProviderError, ProviderErrorKind},
    format::stanza::RecipientType,
    join,
};

impl Cached {
    pub(super) async fn generate(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        if self.options.stock.is_none() {
            return self.heeded(self.inner.generate_data_key(context).await);
        }
        let state = self.state();
        let no_pairs = WrapContext::new(*context.core(), []);
        let of = if self.binds_context { context } else { &no_pairs };
        let shelf = state.seed.of_context(of);
        let order = state.stock().order(shelf, of, self.time.millis());
        let made = match order {
            Some(order) => self.generate_two(Ordered { state, order, key: None }, context).await,
            None => self.inner.generate_data_key(context).await,
        };
        match self.heeded(made) {
            Err(error) if is_outage(error.kind()) => {
                let key = state.stock().take(shelf, of, self.time.millis());
                key.inspect(|_| state.counts.from_stock.add_one()).ok_or(error)
            }
            made => made,
        }
    }

    /// One for the caller, and one for the stock if it comes out whole.
    async fn generate_two(
        &self,
        mut ordered: Ordered<'_>,
        context: &WrapContext,
    ) -> Result<GeneratedKey, ProviderError> {
        let calls = [(), ()].map(|()| self.inner.generate_data_key(context));
        let mut made = join::all(calls).await.into_iter();
        let (first, second) = (made.next(), made.next());
        let (own, spare) = match (first, second) {
            (Some(Err(_)), Some(Ok(second))) => (Ok(second), None),
            (Some(own), spare) => (own, spare.and_then(Result::ok)),
            (None, _) => (Err(ProviderError::new(ProviderErrorKind::Other, self.provider)), None),
        };
        ordered.key = spare.filter(is_whole);
        own
    }

    /// Brings the stock up to its number: one call after the other, until one fails or nothing is missing.
    pub(super) async fn refill(&self) {
        let state = self.state();
        loop {
            let order = state.stock().order_to_refill(self.time.millis());
            let Some((order, context)) = order else { return };
            let mut ordered = Ordered { state, order, key: None };
            let made = self.heeded(self.inner.generate_data_key(&context).await);
            let Some(made) = made.ok().filter(is_whole) else { return };
            ordered.key = Some(made);
        }
    }

    /// Passes an answer on, and drops what it says is gone.
    pub(super) fn heeded<T>(&self, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        answer.inspect_err(|error| self.heed_error(error))
    }

    pub(super) fn heed_error(&self, error: &ProviderError) {
        let Some(id) = error.key_id().filter(|_| says_gone(error.kind())) else { return };
        let state = self.state();
        let mut wakers = Wakers::default();
        state.heed_denial(&mut state.table(), id.as_bytes(), &mut wakers);
        wakers.wake();
    }
}

/// Whether nobody is missing: a message that is sealed in an outage should not have to be mended as well.
fn is_whole(key: &GeneratedKey) -> bool {
    key.recipients.iter().all(|recipient| recipient.recipient_type() != RecipientType::PENDING)
}

/// An order that ends when this is dropped, with a key or without.
struct Ordered<'c> {
    state: &'c State,
    order: Order,
    key: Option<GeneratedKey>,
}

impl Drop for Ordered<'_> {
    fn drop(&mut self) {
        let key = self.key.take();
        self.state.stock().deliver(&self.order, key);
    }
}

const fn is_outage(kind: ProviderErrorKind) -> bool {
    kind.is_retryable()
}
