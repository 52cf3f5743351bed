//! Plain code: one `let` for each thing, and one name for each parameter.

use syn::visit::{self, Visit};
use syn::{Arm, Expr, FnArg, Lit, Local, Pat, Stmt, Type};

/// What a file has that is written shorter than it reads.
#[derive(Default)]
struct Golf(Vec<&'static str>);

fn is_tuple(pattern: &Pat) -> bool {
    match pattern {
        Pat::Type(typed) => is_tuple(&typed.pat),
        Pat::Tuple(_) => true,
        _ => false,
    }
}

fn is_bool(arm: &Arm) -> bool {
    matches!(&arm.pat, Pat::Lit(literal) if matches!(literal.lit, Lit::Bool(_)))
}

impl<'ast> Visit<'ast> for Golf {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        // A code and its words are one thing; two numbers are not.
        if let Type::Tuple(tuple) = &*item.ty
            && !tuple.elems.iter().all(|part| matches!(part, Type::Reference(_)))
        {
            self.0.push("`const A: (u8, u8)`: a name for each");
        }
        visit::visit_item_const(self, item);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let Some(init) = &local.init
            && init.diverge.is_none()
            && is_tuple(&local.pat)
            && matches!(*init.expr, Expr::Tuple(_))
        {
            self.0.push("`let (a, b) = (x, y)`: a `let` for each");
        }
        visit::visit_local(self, local);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(Expr::Assign(assigned), _) = statement
            && matches!((&*assigned.left, &*assigned.right), (Expr::Tuple(_), Expr::Tuple(_)))
        {
            self.0.push("`(a, b) = (x, y)`: a line for each");
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_fn_arg(&mut self, argument: &'ast FnArg) {
        if matches!(argument, FnArg::Typed(typed) if matches!(*typed.pat, Pat::Tuple(_))) {
            self.0.push("`fn f((a, b): (A, B))`: a parameter for each");
        }
        visit::visit_fn_arg(self, argument);
    }

    fn visit_expr_match(&mut self, decided: &'ast syn::ExprMatch) {
        if decided.arms.iter().any(is_bool) {
            self.0.push("`match` of a bool: `if`");
        }
        visit::visit_expr_match(self, decided);
    }
}

fn golf(text: &str) -> Vec<&'static str> {
    let mut found = Golf::default();
    found.visit_file(&syn::parse_file(text).unwrap());
    found.0
}

#[test]
fn golf_is_seen() {
    let of = |line: &str| golf(&format!("fn f(n: (u8, u8)) {{ {line} }}")).len();
    let wrong = [
        "let (a, b) = (1, 2);",
        "let (a, mut b): (u8, u8) = (1, 2);",
        "loop { (n.0, n.1) = (1, 2); }",
        "fn g((a, b): (u8, u8)) {}",
        "match is { true => 1, false => 2 };",
        "const A: (u8, Duration) = (1, SECOND);",
    ];
    for line in wrong {
        assert_eq!(of(line), 1, "{line}");
    }
    let right = [
        "let (a, b) = n;",
        "let (Some(a), Some(b)) = (x, y) else { return };",
        "n.iter().map(|(a, b)| a);",
        "match (a, b) { (true, 1) => 1, _ => 2 };",
        "const A: (&str, &str) = (\"code\", \"words\");",
    ];
    for line in right {
        assert_eq!(of(line), 0, "{line}");
    }
}

#[test]
fn code_is_plain() {
    let mut found = Vec::new();
    for (path, text) in super::shape::sources() {
        // Sizes and places of tests are pairs.
        let tests = path.contains("/tests/");
        let plain = golf(&text).into_iter().filter(|what| !tests || !what.contains("const"));
        found.extend(plain.map(|what| format!("{path}: {what}")));
    }
    super::shape::none("code that is written shorter than it reads", &found);
}
