//! One value for each process: a forked child starts with one of its own.
//!
//! What the parent's threads were doing when it forked they do not go on doing in the child: a load never ends there, and
//! a lock is never given up. So the child takes nothing over.

use std::sync::OnceLock;

use crate::fork;

/// The value of this process, and after it that of a child which this process became.
pub(in crate::subjects) struct Processes<T> {
    generation: u64,
    value: T,
    child: OnceLock<Box<Self>>,
}

impl<T> Processes<T> {
    pub(in crate::subjects) fn new(value: T) -> Self {
        Self { generation: fork::generation(), value, child: OnceLock::new() }
    }

    /// The value of this process, which `make` makes in a child that has none yet.
    #[inline]
    pub(in crate::subjects) fn current(&self, make: impl Fn() -> T) -> &T {
        let generation = fork::generation();
        if self.generation == generation { &self.value } else { self.after_fork(generation, make) }
    }

    #[cold]
    fn after_fork(&self, generation: u64, make: impl Fn() -> T) -> &T {
        let mut process = self;
        while process.generation != generation {
            process = process.child.get_or_init(|| Box::new(Self::new(make())));
        }
        &process.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_its_own() {
        let mut processes = Processes::new("parent's");
        assert_eq!(*processes.current(|| "child's"), "parent's");
        processes.generation = processes.generation.wrapping_add(1);
        assert_eq!(*processes.current(|| "child's"), "child's");
        assert_eq!(*processes.current(|| "another"), "child's");
    }
}
