//! A tree of key providers that a file describes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuvert::blocking::block_on;
use kuvert::config::{Config, Parts};
use kuvert::provider::KeyProvider;

use crate::failure::Failure;
use crate::names;

/// The provider that the file describes, or everything that is wrong with it.
pub(super) fn provider(path: &Path) -> Result<Arc<dyn KeyProvider>, Failure> {
    let name = names::path(path);
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("configuration {name} cannot be read: {error}")))?;
    // The parser's own text would show the line, in which anything may stand.
    let config: Config = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Failure::usage(format!("configuration {name}, line {line}, is not TOML"))
    })?;
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let built = block_on(async { config.build(&Parts::default().with_base(directory)).await });
    let built = built.map_err(|error| Failure::new(kuvert::Category::Io, error.to_string()))?;
    built.map_err(|error| {
        let faults = names::counted(error.faults().len(), "fault");
        let failure = Failure::new(error.category(), format!("configuration {name} has {faults}"));
        error.faults().iter().map(|fault| names::shown(&fault.to_string())).fold(failure, Failure::advise)
    })
}
