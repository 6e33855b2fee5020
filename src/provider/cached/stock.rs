//! Fresh data keys in stock, to seal with while the key service cannot be reached.
//!
//! A key in stock is what the provider inside generated, unused: it seals one message and is gone. Where the key service
//! checks the context, a stock belongs to one context; elsewhere to one kind of message.

use std::collections::{HashMap, VecDeque};

use super::{GeneratedKey, StockOptions, WrapContext, entry::names};

pub(super) struct Stock {
    options: StockOptions,
    max_age: u64,
    shelves: HashMap<u64, Shelf>,
    /// Counts what was thrown out for good cause: a key that was asked for before does not come in any more.
    purges: u64,
}

struct Shelf {
    /// What the keys on it are made for.
    context: WrapContext,
    /// The oldest first, with the time of its making.
    keys: VecDeque<(GeneratedKey, u64)>,
    /// Keys that are being made for it.
    expected: usize,
    /// When somebody sealed for it last.
    last_used: u64,
}

impl Shelf {
    const fn new(context: WrapContext) -> Self {
        Self { context, keys: VecDeque::new(), expected: 0, last_used: 0 }
    }
}

/// That one more key is being made. Given back with the key or without.
pub(super) struct Order {
    shelf: u64,
    purges: u64,
    pub(super) asked_at: u64,
}

impl Stock {
    pub(super) fn new(options: Option<StockOptions>) -> Self {
        let options = options.unwrap_or(StockOptions { max_keys: 0, ..StockOptions::default() });
        let max_age = crate::clock::ages::millis_of(options.max_age);
        Self { options, max_age, shelves: HashMap::new(), purges: 0 }
    }

    /// An order for one more key, if the shelf is not full.
    pub(super) fn order(&mut self, shelf: u64, context: &WrapContext, now: u64) -> Option<Order> {
        if self.options.max_keys == 0 || self.options.max_contexts == 0 {
            return None;
        }
        self.tidy(now);
        if !self.shelves.contains_key(&shelf) && self.shelves.len() >= self.options.max_contexts {
            let oldest =
                self.shelves.iter().min_by_key(|(_, shelf)| shelf.last_used).map(|(number, _)| *number);
            oldest.and_then(|oldest| self.shelves.remove(&oldest));
        }
        let own = self.shelves.entry(shelf).or_insert_with(|| Shelf::new(context.clone()));
        // Two contexts of one number: the first has the shelf.
        if own.context != *context {
            return None;
        }
        own.last_used = now;
        if own.keys.len() + own.expected >= self.options.max_keys {
            return None;
        }
        own.expected += 1;
        Some(Order { shelf, purges: self.purges, asked_at: now })
    }

    /// An order to bring a shelf up to its number again, with the context to make the key for. Keys past half of their
    /// age do not count: they are replaced before they are missed. Shelves for which nobody seals any more are left to
    /// run dry.
    pub(super) fn order_to_refill(&mut self, now: u64) -> Option<(Order, WrapContext)> {
        let (max_age, max_keys) = (self.max_age, self.options.max_keys);
        let is_wanted = |shelf: &Shelf| now < shelf.last_used.saturating_add(max_age);
        let lasts = |made: u64| now < made.saturating_add(max_age.div_ceil(2));
        let lacks = |shelf: &Shelf| {
            shelf.keys.iter().filter(|(_, made)| lasts(*made)).count() + shelf.expected < max_keys
        };
        let (number, own) = self.shelves.iter_mut().find(|(_, shelf)| is_wanted(shelf) && lacks(shelf))?;
        own.expected += 1;
        Some((Order { shelf: *number, purges: self.purges, asked_at: now }, own.context.clone()))
    }

    /// Ends an order: with the key, or without one.
    pub(super) fn deliver(&mut self, order: &Order, key: Option<GeneratedKey>) {
        let Some(shelf) = self.shelves.get_mut(&order.shelf) else { return };
        shelf.expected = shelf.expected.saturating_sub(1);
        if let Some(key) = key.filter(|_| order.purges == self.purges) {
            // In place of the oldest, where it is full.
            while shelf.keys.len() >= self.options.max_keys {
                shelf.keys.pop_front();
            }
            shelf.keys.push_back((key, order.asked_at));
        }
    }

    /// The oldest key that is young enough.
    pub(super) fn take(&mut self, shelf: u64, context: &WrapContext, now: u64) -> Option<GeneratedKey> {
        self.tidy(now);
        let shelf = self.shelves.get_mut(&shelf).filter(|shelf| shelf.context == *context)?;
        shelf.last_used = now;
        shelf.keys.pop_front().map(|(key, _)| key)
    }

    /// Throws out every key with a wrap by this wrapping key.
    pub(super) fn purge(&mut self, id: &[u8]) {
        self.purges += 1;
        for shelf in self.shelves.values_mut() {
            shelf.keys.retain(|(key, _)| !key.recipients.iter().any(|recipient| names(recipient, id)));
        }
    }

    /// Throws out everything.
    pub(super) fn clear(&mut self) {
        self.purges += 1;
        self.shelves.values_mut().for_each(|shelf| shelf.keys.clear());
    }

    /// Throws out what is too old.
    pub(super) fn tidy(&mut self, now: u64) {
        for shelf in self.shelves.values_mut() {
            while shelf.keys.front().is_some_and(|(_, made)| now >= made.saturating_add(self.max_age)) {
                shelf.keys.pop_front();
            }
        }
        // With its last key goes the context of one that is not used any more.
        self.shelves.retain(|_, shelf| {
            shelf.expected > 0 || !shelf.keys.is_empty() || now < shelf.last_used.saturating_add(self.max_age)
        });
    }

    pub(super) fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.keys.len()).sum()
    }
}
