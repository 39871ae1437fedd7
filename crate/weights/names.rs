//! The only map between the names our structures use and the names files use.
//!
//! Structures are named after diffusers' current keys, so there is little to map: older files of the same models.

/// The names under which a file may hold the tensor we call `name`, in order of preference.
///
/// - transformers before 5 put `text_model.` before every key of the text encoder;
/// - diffusers before 0.18 called the VAE's attention layers query, key, value and proj_attn.
pub fn aliases(name: &str) -> Vec<String> {
    let old_attention = [
        (".to_q.", ".query."),
        (".to_k.", ".key."),
        (".to_v.", ".value."),
        (".to_out.0.", ".proj_attn."),
    ];
    let mut names = vec![name.to_string(), format!("text_model.{name}")];
    for (new, old) in old_attention {
        if name.contains(new) {
            names.push(name.replace(new, old));
        }
    }
    names
}
