//! The tree of providers, grown from its ends: each composition is made by its own constructor, whose complaints count.
//!
//! Grown once over stand-ins, to find every fault, and once over the real ends. Knows what providers describe and nothing
//! of what they do. Page [configuration](crate::manual::configuration).

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    sync::Arc,
};

use super::{
    Assembly, Config, ConfigFault, Parts, ProviderConfig, check, leaf::Leaves, names, stand_in::StandIn,
};
use crate::{
    error::ProviderError,
    format::stanza::RecipientType,
    provider::{
        AllOf, AnyOf, AnyOfOptions, CacheOptions, Cached, Guarded, GuardedOptions, KeyInfo, KeyPolicy,
        KeyProvider, Observed, Policy,
    },
};

/// One provider, and the keys at the ends below it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    provider: Arc<dyn KeyProvider>,
    /// With the name of the provider that holds each.
    keys: Vec<(String, KeyInfo)>,
    /// Whether all keys below are known, and all providers below are made as they were described.
    is_whole: bool,
    /// Names of providers of key files that were not read.
    unread: Vec<String>,
}

impl Node {
    /// An end of the tree.
    pub(super) fn new(name: &str, provider: Arc<dyn KeyProvider>) -> Self {
        let keys = provider.describe().keys.into_iter().map(|key| (name.to_owned(), key)).collect();
        Self { provider, keys, is_whole: true, unread: Vec::new() }
    }

    /// Key files of which nothing is known but that they are key files.
    pub(super) fn of_unread_files(name: &str) -> Self {
        let unread = vec![name.to_owned()];
        Self { unread, ..Self::broken() }
    }

    #[cfg(feature = "aws-kms")]
    pub(super) fn with_all_keys_known(mut self, all: bool) -> Self {
        self.is_whole = all;
        self
    }

    pub(super) fn broken() -> Self {
        let provider = Arc::new(StandIn { keys: Vec::new() });
        Self { provider, keys: Vec::new(), is_whole: false, unread: Vec::new() }
    }

    fn above(members: &[Self]) -> Self {
        let keys = members.iter().flat_map(|member| member.keys.clone()).collect();
        let unread = members.iter().flat_map(|member| member.unread.clone()).collect();
        let is_whole = members.iter().all(|member| member.is_whole);
        Self { keys, is_whole, unread, ..Self::broken() }
    }
}

/// Makes every provider of the configuration, tells what cannot be made, and gives the whole if all of it could.
pub(super) fn grow(
    config: &Config,
    leaves: &Leaves,
    parts: &Parts,
    faults: &mut Vec<ConfigFault>,
) -> Option<Assembly> {
    let inside_guarded = |provider: &ProviderConfig| match provider {
        ProviderConfig::Guarded { provider, .. } => Some(provider.clone()),
        _ => None,
    };
    let mut tree = Tree {
        config,
        leaves,
        parts,
        faults,
        guarded_ends: config.providers.values().filter_map(inside_guarded).collect(),
        unbuildable: names::unbuildable(config),
        grown: BTreeMap::new(),
        caches: BTreeMap::new(),
        guarded: BTreeMap::new(),
    };
    for name in config.providers.keys() {
        tree.node(name);
    }
    let root = tree.grown.get(config.provider.as_deref()?).filter(|root| root.is_whole)?;
    Some(Assembly { provider: Arc::clone(&root.provider), caches: tree.caches, guarded: tree.guarded })
}

struct Tree<'t> {
    config: &'t Config,
    leaves: &'t Leaves,
    parts: &'t Parts,
    faults: &'t mut Vec<ConfigFault>,
    /// Those whose calls are told by what is around them.
    guarded_ends: BTreeSet<String>,
    unbuildable: BTreeSet<&'t str>,
    grown: BTreeMap<String, Node>,
    caches: BTreeMap<String, Arc<Cached>>,
    guarded: BTreeMap<String, Arc<Guarded>>,
}

impl Tree<'_> {
    fn node(&mut self, name: &str) -> Node {
        if let Some(grown) = self.grown.get(name) {
            return grown.clone();
        }
        let config = self.config;
        let Some(provider) = config.providers.get(name).filter(|_| !self.unbuildable.contains(name)) else {
            return Node::broken();
        };
        let members: Vec<Node> =
            names::inner(provider).into_iter().map(|(_, name)| self.node(name)).collect();
        let mut node = match self.leaves.get(name) {
            Some(leaf) => self.observed(name, leaf.clone()),
            None => Node::above(&members),
        };
        // What is wrong with the options is told already.
        let has_good_options = check::of(name, provider).is_empty();
        node.is_whole &= has_good_options;
        let made = match provider {
            _ if !has_good_options => None,
            ProviderConfig::AnyOf { options, .. } => self.any_of(name, &members, &node, options),
            ProviderConfig::AllOf { .. } => self.all_of(name, &members, &node),
            ProviderConfig::Guarded { options, .. } => Some(self.guarded(name, &members, options)),
            ProviderConfig::Cached { options, .. } => Some(self.cached(name, &members, options)),
            ProviderConfig::Policy { policy, .. } => self.policy(name, &members, policy),
            _ => Some(Arc::clone(&node.provider)),
        };
        match made {
            Some(made) => node.provider = made,
            None => node.is_whole = false,
        }
        self.grown.insert(name.to_owned(), node.clone());
        node
    }

    fn fault(&mut self, name: &str, key: &str, problem: impl std::fmt::Display) {
        self.faults.push(ConfigFault::new(format!("{}{key}", names::place(name)), problem));
    }

    /// An end whose calls are told here, unless the guard around it tells them, with its attempts.
    fn observed(&self, name: &str, mut node: Node) -> Node {
        let is_told_outside = self.guarded_ends.contains(name);
        if let Some(observer) = self.parts.observer.clone().filter(|_| !is_told_outside) {
            let observed = Observed::new(node.provider, observer);
            node.provider = match &self.parts.clock {
                Some(clock) => Arc::new(observed.with_clock(Arc::clone(clock))),
                None => Arc::new(observed),
            };
        }
        node
    }

    fn any_of(
        &mut self,
        name: &str,
        members: &[Node],
        node: &Node,
        options: &AnyOfOptions,
    ) -> Option<Arc<dyn KeyProvider>> {
        let made =
            AnyOf::new(providers(members)).map_err(|error| self.fault(name, ".members", reason(&error)));
        // Of a member that is not known whole, it is not known what it seals with.
        let mut any_of = made.ok().filter(|_| node.is_whole)?;
        if let Some(clock) = &self.parts.clock {
            any_of = any_of.with_clock(Arc::clone(clock));
        }
        if let Some(observer) = &self.parts.observer {
            any_of = any_of.with_observer(Arc::clone(observer));
        }
        match any_of.with_options(options.clone()) {
            Ok(any_of) => Some(Arc::new(any_of)),
            Err(error) => {
                self.fault(name, ".min", reason(&error));
                None
            }
        }
    }

    fn all_of(&mut self, name: &str, members: &[Node], node: &Node) -> Option<Arc<dyn KeyProvider>> {
        let mut is_good = true;
        for (n, member) in members.iter().enumerate().filter(|(_, member)| member.is_whole) {
            // One that only opens has none, and may be here: then the whole only opens.
            let sealing = member.provider.describe().keys.iter().filter(|key| key.seals).count();
            if sealing > 1 {
                let problem = format!(
                    "it seals with {sealing} keys, and a member of an all-of seals with one: name a provider with one \
                     sealing key"
                );
                self.fault(name, &format!(".members[{n}]"), problem);
                is_good = false;
            }
        }
        match AllOf::new(providers(members)) {
            Ok(all_of) => (is_good && node.is_whole).then(|| Arc::new(all_of) as _),
            Err(error) => {
                self.fault(name, ".members", reason(&error));
                None
            }
        }
    }

    fn guarded(&mut self, name: &str, inner: &[Node], options: &GuardedOptions) -> Arc<dyn KeyProvider> {
        let mut guarded = Guarded::new(inside(inner), options.clone());
        if let Some(clock) = &self.parts.clock {
            guarded = guarded.with_clock(Arc::clone(clock));
        }
        if let Some(observer) = &self.parts.observer {
            guarded = guarded.with_observer(Arc::clone(observer));
        }
        let guarded = Arc::new(guarded);
        self.guarded.insert(name.to_owned(), Arc::clone(&guarded));
        guarded
    }

    fn cached(&mut self, name: &str, inner: &[Node], options: &CacheOptions) -> Arc<dyn KeyProvider> {
        let mut cached = Cached::from_arc(inside(inner), options.clone());
        if let Some(clock) = &self.parts.clock {
            cached = cached.with_clock(Arc::clone(clock));
        }
        if let Some(observer) = &self.parts.observer {
            cached = cached.with_observer(Arc::clone(observer));
        }
        let cached = Arc::new(cached);
        self.caches.insert(name.to_owned(), Arc::clone(&cached));
        cached
    }

    /// All keys below are judged, also those that a composition does not describe.
    fn policy(&mut self, name: &str, inner: &[Node], policy: &KeyPolicy) -> Option<Arc<dyn KeyProvider>> {
        let own = format!("{}.", names::place(name));
        if self.config.misread.iter().any(|fault| fault.path().starts_with(&own)) {
            // What it allows is not known.
            return None;
        }
        let mut is_good = true;
        for (holder, key) in inner.iter().flat_map(|node| &node.keys) {
            if let Some(why) = policy.complaint(key) {
                let key = super::fault::shown(&key.id);
                let problem = format!(
                    "it refuses key \"{key}\" of \"{holder}\": {why}; take the key out there, or allow it here"
                );
                self.fault(name, "", problem);
                is_good = false;
            }
        }
        for holder in inner.iter().flat_map(|node| &node.unread) {
            if !policy.types.contains(&RecipientType::AES_KWP) {
                let problem = format!(
                    "it refuses the key files of \"{holder}\", which are in no region: allow them with types = \
                     [\"aes-kwp\"], or take them out"
                );
                self.fault(name, "", problem);
                is_good = false;
            }
        }
        if !is_good {
            return None;
        }
        match Policy::new(inside(inner), policy.clone()) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(error) => {
                self.fault(name, "", reason(&error));
                None
            }
        }
    }
}

fn providers(nodes: &[Node]) -> impl Iterator<Item = Arc<dyn KeyProvider>> {
    nodes.iter().map(|node| Arc::clone(&node.provider))
}

/// The only one inside of a wrapper.
fn inside(nodes: &[Node]) -> Arc<dyn KeyProvider> {
    let broken = || Node::broken().provider;
    nodes.first().map_or_else(broken, |node| Arc::clone(&node.provider))
}

/// What a constructor complains about, without the kind and the provider's name, which the place tells.
fn reason(error: &ProviderError) -> String {
    let what = error.source().map_or_else(|| error.kind().describe().to_owned(), ToString::to_string);
    match error.key_id() {
        Some(id) => format!("{what} (key \"{}\")", super::fault::shown(id)),
        None => what,
    }
}
