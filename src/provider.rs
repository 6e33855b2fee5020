//! What gives, wraps and unwraps data keys: the trait, its contract, and what a provider is told.

mod key_file;
