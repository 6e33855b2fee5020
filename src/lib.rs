//! kuvert
