//! Nothing: the module is what this package depends on.
