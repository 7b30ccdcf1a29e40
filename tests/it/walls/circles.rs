//! Circles: modules that use each other, directly or through others.
//!
//! The children of each module are compared, each with everything below it: those of the crate are the rooms, those of
//! a room its files. A child may use its parent, and a parent its children.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Reference, Target, Tree};

/// From one module to a neighbour, with the first place that uses it.
type Edges = BTreeMap<(String, String), String>;

/// Returns the circles of `tree`, except for known ones in `exceptions` (`a -> b`).
pub(super) fn findings(tree: &Tree, exceptions: &[&str]) -> Vec<String> {
    let all = edges(tree);
    let text = |(from, to): &(String, String)| format!("{from} -> {to}");
    let mut sound = all.clone();
    sound.retain(|edge, _| !exceptions.contains(&text(edge).as_str()));

    let mut findings = Vec::new();
    for (edge, place) in &sound {
        if reaches(&sound, &edge.1, &edge.0) {
            findings.push(format!("a circle: {} ({place})", text(edge)));
        }
    }
    for exception in exceptions {
        match all.keys().find(|edge| text(edge) == *exception) {
            None => findings.push(format!("{exception} is not there any more: strike it from the known circles")),
            Some((from, to)) if !reaches(&sound, to, from) => {
                findings.push(format!("{exception} closes no circle any more: strike it from the known circles"));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Returns every edge between two children of one parent.
fn edges(tree: &Tree) -> Edges {
    let mut edges = Edges::new();
    for reference in tree.references() {
        if let Some((from, to)) = neighbours(&reference) {
            edges.entry((from, to)).or_insert_with(|| reference.place());
        }
    }
    edges
}

/// Returns the two children of the deepest module that contains both ends, unless an end is that module.
fn neighbours(reference: &Reference<'_>) -> Option<(String, String)> {
    let Target::Ours { module: to, .. } = &reference.target else { return None };
    let from = &reference.from.path;
    let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
    (common < from.len() && common < to.len()).then(|| (from[..=common].join("::"), to[..=common].join("::")))
}

fn reaches(edges: &Edges, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut waiting = vec![from];
    while let Some(here) = waiting.pop() {
        if here == to {
            return true;
        }
        let next = edges.keys().filter(|(start, _)| start == here).map(|(_, end)| end.as_str());
        waiting.extend(next.filter(|end| seen.insert(end)));
    }
    false
}
