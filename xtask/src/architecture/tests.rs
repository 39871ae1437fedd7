//! Tests over small trees of files, and over the project itself.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A tree of files that is removed in the end.
struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The page's two tables around some more rows.
fn page(rust: &str, javascript: &str) -> String {
    format!(
        "# Architecture\n\n## Rust modules\nText.\n\n| module | may import | purpose |\n\
         |---|---|---|\n{rust}\n\n## JavaScript folders\n\n| folder | may import | purpose |\n\
         |---|---|---|\n{javascript}\n\n## More\n\n| `other` | `table` | |\n"
    )
}

const RUST_ROWS: &str = "| `error` | — | errors |
| `text` | `error` | the text encoder |
| `pipeline/` | `error`, `text` | from prompt to picture |
| `bin` | `error`, `pipeline` | the command |";
const SCRIPT_ROWS: &str =
    "| `page` | `studio` | |\n| `studio` | `weights` | |\n| `weights` | — | |";

const FILES: [(&str, &str); 9] = [
    (
        "crate/lib.rs",
        "mod error; mod text; mod pipeline;\npub use error::{Error, Result as Outcome};\n\
         pub use pipeline::Pipeline;",
    ),
    ("crate/error.rs", "pub struct Error; // crate::pipeline"),
    ("crate/text/mod.rs", "mod bpe; use crate::Outcome;"),
    (
        "crate/text/bpe.rs",
        "use super::*;\nlet a = \"crate::pipeline::x\";",
    ),
    (
        "crate/pipeline/mod.rs",
        "/// See [`crate::bin`].\nuse crate::{error::Error, text::{self, bpe::{A, B}}};\n\
         #[cfg(test)]\nmod tests { use crate::bin::x; }",
    ),
    (
        "crate/bin/tool.rs",
        "mod crate_error; use darkroom::{Error, Pipeline};",
    ),
    (
        "www/main.js",
        "import { studio } from \"./studio/form.js\";",
    ),
    (
        "www/studio/form.js",
        "/** @import { Page } from \"../main.js\" */\n/** @type {import(\"../main.js\").Page} */\n\
         export * from './png.js';\nconst a = await import(`../weights/local.js`);",
    ),
    (
        "www/weights/local.js",
        "import init from \"../pkg/darkroom.js\"; import fs from \"fs\";",
    ),
];

/// Findings in the tree of `FILES`, with some files replaced or added.
fn found(rust: &str, javascript: &str, changed: &[(&str, &str)]) -> Vec<String> {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("xtask-architecture-{}-{count}", std::process::id());
    let tree = Tree(std::env::temp_dir().join(name));
    let page = page(rust, javascript);
    for (path, contents) in FILES.iter().chain(changed).chain([&(PAGE, page.as_str())]) {
        let path = tree.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    let findings = findings(&tree.0).unwrap();
    findings.iter().map(Finding::to_string).collect()
}

fn with_rust(changed: &[(&str, &str)]) -> Vec<String> {
    found(RUST_ROWS, SCRIPT_ROWS, changed)
}

#[test]
fn the_project_imports_what_its_tables_allow() {
    let found = findings(&paths::root()).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let found: Vec<String> = found.iter().map(Finding::to_string).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_tree_as_in_the_tables_has_no_finding() {
    assert_eq!(with_rust(&[]), [""; 0]);
}

#[test]
fn a_forbidden_import_is_found_in_every_form() {
    for (code, line) in [
        ("use crate::pipeline::Pipeline;", 1),
        ("use crate::{error::Error, pipeline};", 1),
        (
            "use crate::{error::{self, A}, text::{b, c::{D}}, pipeline::*};",
            1,
        ),
        ("pub use crate::pipeline as p;", 1),
        ("pub(crate) use crate::pipeline::{\n    a,\n};", 2),
        ("use super::super::pipeline;", 1),
        ("fn a() {\n    crate::pipeline::load()\n}", 2),
        ("fn a() -> crate::pipeline::Pipeline {}", 1),
        ("impl Into<crate::pipeline::P> for A {}", 1),
        ("macro_rules! a { () => { $crate::pipeline::load() } }", 1),
        ("mod inner { use super::super::super::pipeline; }", 1),
        // By a name that the crate's root re-exports.
        ("use crate::Pipeline;", 1),
        (
            "#[cfg(test)]\nuse crate::bin::{a};\nuse crate::pipeline;",
            3,
        ),
        ("#[cfg(test)]\nfn a() {}\nuse crate::pipeline;", 3),
        (
            "#[cfg(test)]\nmod a { use crate::bin::b; }\nuse crate::pipeline;",
            3,
        ),
        (
            "#[cfg(test)]\npub(crate) use crate::bin::{b, c};\nuse crate::pipeline;",
            3,
        ),
    ] {
        let code = format!("use crate::Error; {code}");
        assert_eq!(
            with_rust(&[("crate/text/bpe.rs", code.as_str())]),
            [format!(
                "crate/text/bpe.rs:{line}: architecture: text imports pipeline, which {PAGE} does \
                 not allow"
            )],
            "{code}"
        );
    }
}

#[test]
fn paths_inside_a_module_and_in_tests_are_no_imports() {
    for code in [
        "use crate::text::bpe; use super::bpe; use self::pipeline; use pipeline::x;",
        "mod inner { use super::super::pipeline; } use super::pipeline;",
        "// crate::pipeline\n/* crate::pipeline */ let a = r\"crate::pipeline\";",
        "#[cfg(test)] mod tests { fn a() { crate::pipeline::load(); } }",
        "#[cfg(test)] use crate::pipeline::{a, b};",
        "fn a(&self) -> impl Fn() + use<'_> { std::pipeline::a() }",
        "pub(in crate::text) fn a() {} pub(crate) fn pipeline() {}",
    ] {
        assert_eq!(with_rust(&[("crate/text/bpe.rs", code)]), [""; 0], "{code}");
    }
    assert_eq!(
        with_rust(&[("crate/text/tests.rs", "use crate::pipeline;")]),
        [""; 0]
    );
}

#[test]
fn a_forbidden_import_of_a_script_is_found_in_every_form() {
    for (code, line) in [
        ("import \"../studio/form.js\";", 1),
        ("import a, { b as c } from '../studio/form.js'", 1),
        ("import * as a\n  from \"../studio/form.js\";", 1),
        ("import {\n  a,\n} from \"../studio/deep/form.js\";", 1),
        ("export { a } from \"../studio/form.js\";", 1),
        ("export * as a from \"../studio/form.js\";", 1),
        (
            "const a = 1;\nconst b = () => import(\"../studio/form.js\");",
            2,
        ),
    ] {
        let found = with_rust(&[("www/weights/local.js", code)]);
        let expected = format!(
            "www/weights/local.js:{line}: architecture: weights imports studio, which {PAGE} does \
             not allow"
        );
        assert_eq!(found, [expected], "{code}");
    }
    let code = "export { a }; a.import(\"../studio/b.js\"); // import \"../studio/b.js\"\n\
                const b = `import \"../studio/b.js\"`, c = import.meta.url; import \"./e.js\"";
    assert_eq!(with_rust(&[("www/weights/local.js", code)]), [""; 0]);
    let computed = with_rust(&[("www/weights/local.js", "import(`../${a}.js`)")]);
    assert!(computed[0].contains("a computed import"), "{computed:?}");
}

#[test]
fn a_permission_that_no_code_uses_is_found() {
    let found = with_rust(&[("crate/text/mod.rs", "mod bpe;")]);
    assert_eq!(
        found,
        [format!(
            "{PAGE}:9: architecture: text may import error, but does not; it imports: "
        )]
    );
    let found = with_rust(&[("www/main.js", "")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("page may import studio, but does not"),
        "{found:?}"
    );
}

#[test]
fn a_cycle_in_the_table_is_found_even_if_the_code_has_it() {
    let rows = RUST_ROWS.replace("| `error` | —", "| `error` | `pipeline`");
    let found = found(
        &rows,
        SCRIPT_ROWS,
        &[("crate/error.rs", "use crate::pipeline::A;")],
    );
    assert_eq!(
        found,
        [
            format!("{PAGE}:8: architecture: import cycle: error → pipeline → error"),
            format!("{PAGE}:8: architecture: import cycle: error → pipeline → text → error")
        ]
    );
}

#[test]
fn modules_and_rows_belong_together() {
    let missing = with_rust(&[("crate/web.rs", ""), ("www/engine/client.js", "")]);
    assert_eq!(
        missing,
        [
            format!("{PAGE}:3: architecture: web has no row in the table \"Rust modules\""),
            format!(
                "{PAGE}:13: architecture: engine has no row in the table \"JavaScript folders\""
            ),
        ]
    );
    let rows = format!("{RUST_ROWS}\n| `vae` | — | |");
    let extra = found(&rows, SCRIPT_ROWS, &[]);
    assert_eq!(
        extra,
        [format!("{PAGE}:12: architecture: vae is not in the code")]
    );
}

#[test]
fn globs_that_hide_imports_are_found() {
    let glob = with_rust(&[("crate/text/bpe.rs", "use crate::*;")]);
    assert!(
        glob[0].contains("a glob import of the crate's root"),
        "{glob:?}"
    );
    let library = format!("{}\npub use text::*;", FILES[0].1);
    let glob = with_rust(&[("crate/lib.rs", library.as_str())]);
    assert!(glob[0].contains("a glob re-export of text"), "{glob:?}");
}

#[test]
fn a_page_without_its_tables_is_an_error() {
    for (page, words) in [
        ("# Architecture\n", "no heading"),
        ("## Rust modules\n\n## JavaScript folders\n", "no table"),
        ("## Rust modules\n| `a` |\n", "two columns"),
        ("## Rust modules\n| `a` | — |\n| `a` | — |\n", "two rows"),
    ] {
        let error = Table::parse(page, RUST).err().expect(page);
        assert!(error.contains(words), "{error}");
    }
}
