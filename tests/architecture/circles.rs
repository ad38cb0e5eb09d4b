//! Which file needs which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::Source;

/// Module paths, from the crate's root.
type Module = Vec<String>;

/// The files that need each other, directly or by way of others: one sorted list a circle.
///
/// A module that declares or re-exports what its children hold does not need them in this sense:
/// that is how a module is read, from its door inwards.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let modules: BTreeMap<&Module, &Source> = sources.iter().map(|s| (&s.module, s)).collect();
    let needs: BTreeMap<&Module, BTreeSet<Module>> = sources
        .iter()
        .map(|source| (&source.module, needs(source, &modules)))
        .collect();
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = needs
        .keys()
        .map(|from| (*from, reach(from, &needs)))
        .collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, reached) in &reach {
        if !reached.contains(module) {
            continue;
        }
        let circle = reached
            .iter()
            .filter(|other| reach[**other].contains(module));
        found.insert(circle.map(|other| modules[*other].path.clone()).collect());
    }
    found.into_iter().collect()
}

/// Every module that is reached from `start` in one step or more.
fn reach<'a>(
    start: &Module,
    needs: &'a BTreeMap<&'a Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = needs[start].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(&needs[module]);
        }
    }
    reached
}

/// The modules whose items `source` names, but for those that it declares itself.
fn needs(source: &Source, modules: &BTreeMap<&Module, &Source>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    for reference in &source.references {
        let Some(path) = absolute(&source.module, &reference.path) else {
            continue;
        };
        let Some(module) = home(path, modules) else {
            continue;
        };
        if !module.starts_with(&source.module) {
            found.insert(module);
        }
    }
    found
}

/// The path from the crate's root; none for what is outside.
fn absolute(module: &[String], path: &[String]) -> Option<Module> {
    let mut base = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => parent(module),
        _ => return None,
    };
    let mut rest = &path[1..];
    while rest.first().is_some_and(|name| name == "super") {
        base = parent(&base);
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    Some(base)
}

fn parent(module: &[String]) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// The module that holds what `path` names, through re-exports.
fn home(mut path: Module, modules: &BTreeMap<&Module, &Source>) -> Option<Module> {
    // A re-export may lead to another one; never around in a circle, which does not compile.
    for _ in 0..8 {
        let length = (1..=path.len())
            .rev()
            .find(|length| modules.contains_key(&path[..*length].to_vec()))?;
        let module = path[..length].to_vec();
        let Some(item) = path.get(length) else {
            return Some(module);
        };
        let Some(target) = reexported(item, modules[&module]) else {
            return Some(module);
        };
        path = target;
    }
    None
}

/// Where `module` takes the item from that it re-exports by this name.
fn reexported(item: &str, module: &Source) -> Option<Module> {
    let reexports = module.references.iter().filter(|r| r.is_reexport);
    let path = reexports
        .map(|reference| &reference.path)
        .find(|path| path.last().is_some_and(|name| name == item))?;
    let from_child = match path[0].as_str() {
        "crate" | "self" | "super" => path.clone(),
        _ => [&["self".to_owned()], path.as_slice()].concat(),
    };
    absolute(&module.module, &from_child)
}
