//! A bound on extra calls: so many for each hundred that were asked for anyway, and a few in stock.
//!
//! Whoever repeats or doubles calls takes from it, so that an ailing key service is not given the last push by its own
//! callers. It knows no provider and no clock.

use std::sync::{Mutex, PoisonError};

/// Tokens in thousandths: every ordinary call puts a share of one in, every extra call takes one out.
#[derive(Debug)]
pub(super) struct Budget {
    thousandths: Mutex<u32>,
    share: u32,
    stock: u32,
}

impl Budget {
    /// Full: `percent` extra calls for 100 ordinary ones, and `stock` of them at once.
    pub(super) const fn new(percent: u32, stock: u32) -> Self {
        let (share, stock) = (percent.saturating_mul(10), stock.saturating_mul(WHOLE));
        Self { thousandths: Mutex::new(stock), share, stock }
    }

    /// An ordinary call is made.
    pub(super) fn earn(&self) {
        let mut tokens = self.thousandths.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = tokens.saturating_add(self.share).min(self.stock);
    }

    /// Whether an extra call may be made, which is then paid for.
    pub(super) fn spend(&self) -> bool {
        let mut tokens = self.thousandths.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.checked_sub(WHOLE) {
            Some(rest) => {
                *tokens = rest;
                true
            }
            None => false,
        }
    }
}

const WHOLE: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_percent_and_a_stock() {
        let budget = Budget::new(10, 3);
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
        let extra = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(extra.count(), 100);
        (0..1000).for_each(|_| budget.earn());
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
    }

    #[test]
    fn nothing_is_nothing() {
        let budget = Budget::new(0, 0);
        budget.earn();
        assert!(!budget.spend());
    }
}
