//! Circles of source files: files of one crate each of which leads to all others by what it names. A circle can only be
//! understood whole, so it must stay small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Most files of a circle.
const MAX_FILES: usize = 6;

/// A module's path within its crate; the crate's root is empty.
type Module = Vec<String>;

/// What one file names.
#[derive(Default)]
struct Named {
    /// Paths, as they are written.
    paths: Vec<Vec<String>>,
    /// What the file gives on under names of its own: the name, and the path behind it.
    given_on: Vec<(String, Vec<String>)>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
    })
}

/// All paths of a `use`, each with the name that it brings in.
fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.to_vec()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(name.ident.to_string()))),
        UseTree::Rename(renamed) => found.push((renamed.rename.to_string(), with(renamed.ident.to_string()))),
        UseTree::Glob(_) => found.push((String::new(), before.to_vec())),
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item(&mut self, item: &'ast Item) {
        let tests = match item {
            Item::Mod(module) => is_test(&module.attrs),
            Item::Fn(function) => is_test(&function.attrs),
            Item::Use(used) => is_test(&used.attrs),
            Item::Impl(part) => is_test(&part.attrs),
            _ => false,
        };
        if !tests {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, used: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&used.tree, &[], &mut found);
        if matches!(used.vis, Visibility::Inherited) {
            self.paths.extend(found.into_iter().map(|(_, path)| path));
        } else {
            self.given_on.extend(found);
        }
    }

    // `pub(super)` names nothing of what is there.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The module that a file of `src` is.
fn module_of(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if ["lib", "main", "mod"].contains(&parts[parts.len() - 1].as_str()) {
        parts.pop();
    }
    parts
}

struct Crate(BTreeMap<Module, Named>);

impl Crate {
    /// The file that has what a path names, seen from a module; `None` for what is not of this crate.
    fn behind(&self, from: &[String], path: &[String], depth: usize) -> Option<Module> {
        let mut at: Module;
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (at, rest) = (Module::new(), &rest[1..]),
            "self" => (at, rest) = (from.to_vec(), &rest[1..]),
            "super" => {
                at = from.to_vec();
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            child if self.0.contains_key(&[from, &[child.to_owned()]].concat()) => at = from.to_vec(),
            _ => return None,
        }
        while let Some(name) = rest.first() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if !self.0.contains_key(&child) {
                break;
            }
            at = child;
            rest = &rest[1..];
        }
        // What a module only gives on is another file's.
        let given = rest.first().and_then(|name| self.0.get(&at)?.given_on.iter().find(|(given, _)| given == name));
        given.filter(|_| depth < 8).and_then(|(_, path)| self.behind(&at, path, depth + 1)).or(Some(at))
    }

    /// Which files each file leads to.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |from: &Module, named: &Named| {
            let to = named.paths.iter().filter_map(|path| self.behind(from, path, 0));
            to.filter(|to| to != from && self.0.contains_key(to)).collect()
        };
        self.0.iter().map(|(from, named)| (from.clone(), of(from, named))).collect()
    }
}

/// What can be reached from a file.
fn reached(arrows: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        open.extend(arrows.get(at).into_iter().flatten().filter(|to| seen.insert((*to).clone())));
    }
    seen
}

/// The circles among these files, each once: its files, and the arrows that tie them.
fn circles(files: &[(String, String)]) -> BTreeMap<Vec<String>, Vec<String>> {
    let read = |(path, text): &(String, String)| {
        let mut named = Named::default();
        named.visit_file(&syn::parse_file(text).unwrap_or_else(|e| panic!("{path}: {e}")));
        (module_of(path), named)
    };
    let arrows = Crate(files.iter().map(read).collect()).arrows();
    let reach: BTreeMap<&Module, BTreeSet<Module>> = arrows.keys().map(|file| (file, reached(&arrows, file))).collect();
    let mut found = BTreeMap::new();
    for (file, to) in &reach {
        let circle: BTreeSet<_> =
            to.iter().filter(|other| reach.get(other).is_some_and(|to| to.contains(*file))).collect();
        if circle.len() > 1 {
            let within = |from: &Module| {
                arrows[from].iter().filter(|to| circle.contains(to)).map(|to| to.join("::")).collect::<Vec<_>>()
            };
            let ties = circle.iter().map(|from| format!("{} -> {}", from.join("::"), within(from).join(", ")));
            found.insert(circle.iter().map(|module| module.join("::")).collect(), ties.collect());
        }
    }
    found
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

#[test]
fn circles_are_found() {
    let files = [
        file("lib.rs", "mod a; mod b; mod c; mod d; pub use b::B;"),
        file("a.rs", "use crate::B; pub struct A;"),
        file("b.rs", "pub struct B; fn f() { super::c::g() }"),
        file("c.rs", "pub fn g() { use super::a::A; }\n#[cfg(test)] mod tests { use crate::d::D; }"),
        file("d.rs", "use super::c::g;"),
    ];
    let found: Vec<_> = circles(&files).into_keys().collect();
    assert_eq!(found, [["a", "b", "c"]]);
}

#[test]
fn circles_of_files_are_small() {
    let sources = super::shape::sources();
    let tests = super::shape::test_files(&sources);
    let mut large = Vec::new();
    for dir in super::shape::crates() {
        let root = Path::new("crates").join(&dir).join("src");
        let of_crate = sources.iter().filter(|(path, _)| !tests.contains(path)).filter_map(|(path, text)| {
            let within = Path::new(path).strip_prefix(&root).ok()?;
            Some((within.to_string_lossy().into_owned(), text.clone()))
        });
        let found = circles(&of_crate.collect::<Vec<_>>()).into_iter().filter(|(circle, _)| circle.len() > MAX_FILES);
        large.extend(found.map(|(circle, ties)| format!("{dir}: {} files\n    {}", circle.len(), ties.join("\n    "))));
    }
    super::shape::none("circles of more files than can be understood at once", &large);
}
