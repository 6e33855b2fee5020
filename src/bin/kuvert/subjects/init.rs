//! `kuvert subjects init`.

use std::fs;
use std::sync::Arc;

use kuvert::keystore::KeyStore;
use kuvert::provider::KeyProvider;
use kuvert::subjects::FileAnchor;
use kuvert::{Category, Subjects, SubjectsOptions};
use serde_json::json;

use super::new_store::NewStore;
use super::store::{anchor_path, existing, sealing, wait};
use super::{Done, census, failure, good, hex, line};
use crate::args::InitArguments;
use crate::failure::Failure;
use crate::{keys, names};

pub(super) fn run(arguments: &InitArguments) -> Result<Done, Failure> {
    let path = &arguments.store.path;
    let [root, epoch, credentials] = [&arguments.root, &arguments.epoch, &arguments.credentials];
    let [root, epoch] = [sealing(&keys::parse(root)?)?, sealing(&keys::parse(epoch)?)?];
    let mut options = SubjectsOptions::default().with_lazy_epochs(true);
    if !credentials.is_empty() {
        options.credentials_provider = Some(sealing(&keys::parse(credentials)?)?);
    }
    let anchor = anchor_path(&arguments.store);
    let had_anchor = anchor.as_ref().is_some_and(|path| path.exists());
    let anchor = anchor.map(FileAnchor::new);
    if let Some(anchor) = &anchor {
        options = options.with_anchor(Arc::new(anchor.clone()));
    }
    if path.is_file() {
        // What it is says more than that it is there.
        drop(existing(path)?);
    }
    let warnings = warnings(&root, &epoch, &anchor);
    let new = NewStore::begin(path, Category::Usage)?;
    let name = names::path(path);
    let made = || {
        let opened = wait(Subjects::init(Arc::clone(&new.store), root, epoch, options))?;
        drop(opened.map_err(|error| failure::of(&error, &name, ""))?);
        let store = reference(&new.store)?;
        new.close().commit()?;
        Ok(store)
    };
    let made: Result<u64, Failure> = made();
    if let (Err(_), Some(anchor), false) = (&made, &anchor, had_anchor) {
        // It was begun for a store that there is not.
        drop(fs::remove_file(anchor.path()));
    }
    let store = made?;
    let mut text = vec![format!("{name}: key store {}", hex(store))];
    text.extend(anchor.as_ref().map(|anchor| line("anchor", &names::path(anchor.path()))));
    text.push(line(
        "next",
        "back it up now: lose the key store, lose the data. See 'kuvert subjects backup --help'",
    ));
    let json = good(json!({
        "file": path.to_string_lossy(), "store": hex(store),
        "anchor": anchor.map(|anchor| anchor.path().to_string_lossy().into_owned()),
    }));
    Ok(Done { text: text.join("\n"), json: vec![json], warnings, failure: None })
}

fn warnings(
    root: &Arc<dyn KeyProvider>,
    epoch: &Arc<dyn KeyProvider>,
    anchor: &Option<FileAnchor>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let of_root = root.describe().keys;
    let is_shared = |key: &kuvert::provider::KeyInfo| {
        of_root.iter().any(|other| other.recipient_type == key.recipient_type && other.id == key.id)
    };
    if epoch.describe().keys.iter().any(is_shared) {
        warnings.push("the root and the first epoch have one key: it can never be destroyed".to_owned());
    }
    if anchor.is_none() {
        warnings.push(
            "without --anchor a store that is restored from an old copy is not told from the newest".into(),
        );
    }
    warnings
}

fn reference(store: &Arc<dyn KeyStore>) -> Result<u64, Failure> {
    let root = wait(store.root())?.map_err(|error| failure::of_store(&error, "the new store"))?;
    let reference = root.as_deref().and_then(census::store_of);
    reference.ok_or_else(|| Failure::new(Category::Io, "the new store has no root"))
}
