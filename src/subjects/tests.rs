//! Tests of data subjects.
