//! `xtask-bindgen MODULE.wasm OUT_DIR NAME`: writes `NAME.js`, `NAME_bg.wasm` and their type
//! declarations for a plain `<script type="module">` or module worker.
//!
//! wasm-bindgen's command line does the same, but this project's lock file could not pin it.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, out_dir, name] = arguments.as_slice() else {
        eprintln!("usage: xtask-bindgen MODULE.wasm OUT_DIR NAME");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let result = bindgen.web(true).and_then(|bindgen| {
        bindgen
            .input_path(module)
            .out_name(name)
            .typescript(true)
            // `init()` without arguments fetches the module beside the script.
            .omit_default_module_path(false)
            // The names of generic instances are half of the file, and no visitor needs them.
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(out_dir)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasm-bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
