//! A service whose key providers stand in its configuration file.
//!
//! `cargo run --example configured --features serde [FILE]`
//!
//! The file is `examples/configured.toml` beside this one. Its keys are made here, in a directory that is gone afterwards.

use kuvert::config::{Config, Parts};
use kuvert::provider::KeyFile;
use kuvert::{EncryptionContext, Kuvert, OpenOptions};
use serde::Deserialize;
use std::{env, fs};

/// The service's own configuration. What belongs to kuvert is a part of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    encryption: Config,
    open: OpenOptions,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/configured.toml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    for id in ["here", "safe"] {
        KeyFile::generate(Some(id))?.write_new(&directory.path().join(format!("{id}.key")))?;
    }

    let text = fs::read_to_string(env::args().nth(1).unwrap_or_else(|| FILE.to_owned()))?;
    let service: Service = toml::from_str(&text)?;
    // Relative paths start from here: usually the configuration file's own directory.
    let parts = Parts::default().with_base(directory.path());
    let assembly = service.encryption.assemble(&parts).await?;
    println!("{} seals with:", service.name);
    for key in assembly.provider.describe().keys.iter().filter(|key| key.seals) {
        println!("  {} {}", key.recipient_type, key.id);
    }

    let kuvert = Kuvert::from_arc(assembly.provider).with_open_options(service.open);
    let context = EncryptionContext::new([("table", "invoices"), ("id", "42")])?;
    let sealed = kuvert.seal(b"to Anna, 99.00", &context).await?;
    for _ in 0..10 {
        assert_eq!(kuvert.open(&sealed, &context).await?.as_slice(), b"to Anna, 99.00");
    }
    let stats = assembly.caches["keys"].stats();
    println!("opened 10 times: the keys were asked {} time, the cache {}", stats.misses, stats.hits);
    assert_eq!((stats.misses, stats.hits), (1, 9));

    // Somebody edits the file. All that is wrong is told together, and the service does not start.
    let edited = text
        .replace("max_age = \"5m\"", "max_age = \"3m\"")
        .replace("\"here\", \"safe\"", "\"here\", \"save\"")
        .replace("here.key", "there.key");
    let service: Service = toml::from_str(&edited)?;
    let Err(error) = service.encryption.build(&parts).await else {
        return Err("four faults, and none told".into());
    };
    println!("after an edit:\n{error}");
    let places: Vec<&str> = error.faults().iter().map(|fault| fault.path()).collect();
    assert_eq!(
        places,
        [
            "providers.either.members[1]",
            "providers.here.paths[0]",
            "providers.keys.soft_age",
            "providers.safe"
        ]
    );
    assert_eq!(error.category().exit_status(), 2);
    Ok(())
}
