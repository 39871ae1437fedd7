//! The tokenizer against transformers' `CLIPTokenizer`.

use darkroom::error::Error;
use darkroom::text::tokenizer::{LongPrompt, Tokenizer, TokenizerFiles};
use serde_json::{Value, json};

use crate::support::random::Random;
use crate::{host_values, read, usize_of};

/// CLIP's published vocabulary with the small files of an SD1.x or SD2.x model.
fn clip(golden: &Value, kind: &str) -> Tokenizer {
    let file = |name: &str| golden["files"][kind][name].to_string().into_bytes();
    Tokenizer::from_files(&TokenizerFiles {
        vocab: Some(&read("www/vocab/clip/vocab.json")),
        merges: Some(&read("www/vocab/clip/merges.txt")),
        tokenizer_config: Some(&file("tokenizer_config.json")),
        special_tokens_map: Some(&file("special_tokens_map.json")),
        tokenizer_json: None,
        added_tokens: None,
    })
    .unwrap()
}

/// Checks a case `[text, ids without padding, tokens before cutting, letters cut off]`.
fn check_tokens(tokenizer: &Tokenizer, text: &str, expected: &[Value], padding: u32) {
    let tokens = tokenizer.encode(text, LongPrompt::Truncate).unwrap();
    let ids = expected[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32);
    let mut ids: Vec<u32> = ids.collect();
    ids.resize(77, padding);
    assert_eq!(tokens.chunks, [ids], "ids of {text:?}");
    assert_eq!(tokens.count, usize_of(&expected[1]), "count of {text:?}");
    let letters = usize_of(&expected[2]);
    let from = text.chars().count() - letters;
    let cut: String = text.chars().skip(from).collect();
    assert_eq!(tokens.cut, (letters > 0).then_some(cut), "cut of {text:?}");
}

#[test]
fn token_ids_equal_transformers() {
    let golden = host_values("tokens.json");
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 2000);
    let (sd1, sd2) = (clip(&golden, "sd1"), clip(&golden, "sd2"));
    assert_eq!((sd1.vocab_size(), sd1.max_length()), (49408, 77));
    for case in cases {
        let case = case.as_array().unwrap();
        let text = case[0].as_str().unwrap();
        check_tokens(&sd1, text, &case[1..], 49407);
        check_tokens(&sd2, text, &case[case.len() - 3..], 0);
    }
    assert_eq!(sd1.empty_chunk()[..3], [49406, 49407, 49407]);
    assert_eq!(sd2.empty_chunk()[..3], [49406, 49407, 0]);
}

#[test]
fn token_ids_of_the_demo_model_equal_transformers() {
    let folder = "www/models/portraits/tokenizer";
    let file = |name: &str| read(&format!("{folder}/{name}"));
    let (vocab, merges, json) = (
        file("vocab.json"),
        file("merges.txt"),
        file("tokenizer.json"),
    );
    let (config, map) = (
        file("tokenizer_config.json"),
        file("special_tokens_map.json"),
    );
    let both = TokenizerFiles {
        vocab: Some(&vocab),
        merges: Some(&merges),
        tokenizer_config: Some(&config),
        special_tokens_map: Some(&map),
        tokenizer_json: Some(&json),
        added_tokens: None,
    };
    let only_json = TokenizerFiles {
        tokenizer_json: Some(&json),
        ..Default::default()
    };
    let golden = host_values("demo_tokens.json");
    for files in [both, only_json] {
        let tokenizer = Tokenizer::from_files(&files).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let case = case.as_array().unwrap();
            let padding = golden["padding"].as_u64().unwrap() as u32;
            check_tokens(&tokenizer, case[0].as_str().unwrap(), &case[1..], padding);
        }
    }
}

#[test]
fn long_prompts_are_split_into_chunks() {
    let golden = host_values("tokens.json");
    let tokenizer = clip(&golden, "sd1");
    for (words, chunks) in [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)] {
        let tokens = tokenizer
            .encode(&"cat ".repeat(words), LongPrompt::Chunk)
            .unwrap();
        assert_eq!(
            (tokens.count, tokens.chunks.len(), tokens.cut),
            (words, chunks, None)
        );
        let mut left = words;
        for chunk in tokens.chunks {
            let content = left.min(75);
            let mut expected = [vec![49406], vec![2368; content], vec![49407]].concat();
            expected.resize(77, 49407);
            assert_eq!(chunk, expected);
            left -= content;
        }
    }
    let tokens = tokenizer
        .encode(
            &format!("{}Dog — Ü", "cat ".repeat(75)),
            LongPrompt::Truncate,
        )
        .unwrap();
    assert_eq!((tokens.count, tokens.cut.as_deref()), (78, Some("Dog — Ü")));
}

#[test]
fn malformed_tokenizer_files_are_named() {
    let vocab = json!({"a": 0, "a</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}).to_string();
    let merges = "#version: 0.2\n";
    let files = |vocab: &'static str, merges: &'static str, config: &'static str| TokenizerFiles {
        vocab: Some(vocab.as_bytes()),
        merges: Some(merges.as_bytes()),
        tokenizer_config: Some(config.as_bytes()),
        ..Default::default()
    };
    let vocab: &'static str = vocab.leak();
    assert!(Tokenizer::from_files(&files(vocab, merges, "{}")).is_ok());
    let cases = [
        (TokenizerFiles::default(), "tokenizer/vocab.json: "),
        (
            TokenizerFiles {
                merges: None,
                ..files(vocab, merges, "{}")
            },
            "tokenizer/merges.txt: ",
        ),
        (
            files("{\"a\": 0", merges, "{}"),
            "tokenizer/vocab.json: not a JSON object",
        ),
        (
            files("[]", merges, "{}"),
            "tokenizer/vocab.json: not a JSON object",
        ),
        (
            files("{\"a\": -1}", merges, "{}"),
            "tokenizer/vocab.json: token \"a\" has the id -1",
        ),
        (
            files("{\"a\": 0}", merges, "{}"),
            "tokenizer/vocab.json: `bos_token` is \"<|startoftext|>\"",
        ),
        (
            files(vocab, "#version: 0.2\na b c\n", "{}"),
            "tokenizer/merges.txt: line 2 is \"a b c\"",
        ),
        (files(vocab, "a\n", "{}"), "tokenizer/merges.txt: line 1"),
        (files(vocab, "a q</w>\n", "{}"), "tokenizer/merges.txt: "),
        (
            files(vocab, merges, "no JSON"),
            "tokenizer/tokenizer_config.json: not a JSON object",
        ),
        (
            files(vocab, merges, "{\"pad_token\": \"[PAD]\"}"),
            "tokenizer/tokenizer_config.json: `pad_token` is \"[PAD]\"",
        ),
        (
            files(vocab, merges, "{\"pad_token\": 7}"),
            "tokenizer/tokenizer_config.json: `pad_token` is 7",
        ),
        (
            files(vocab, merges, "{\"model_max_length\": 2}"),
            "tokenizer/tokenizer_config.json: `model_max_length` is 2",
        ),
    ];
    for (files, message) in cases {
        let error = Tokenizer::from_files(&files).err().map(|e| e.to_string());
        assert!(
            error.as_deref().is_some_and(|e| e.starts_with(message)),
            "{error:?}, expected {message}"
        );
    }
    let latin1 = TokenizerFiles {
        merges: Some(b"a \xff\n"),
        ..files(vocab, merges, "{}")
    };
    assert!(matches!(
        Tokenizer::from_files(&latin1),
        Err(Error::File { .. })
    ));
    let unigram = json!({"model": {"type": "Unigram", "vocab": [], "end_of_word_suffix": "</w>"}})
        .to_string();
    let unigram = TokenizerFiles {
        tokenizer_json: Some(unigram.as_bytes()),
        ..Default::default()
    };
    assert!(matches!(
        Tokenizer::from_files(&unigram),
        Err(Error::Config { .. })
    ));
    // The number that transformers writes for "unknown".
    let tokenizer =
        Tokenizer::from_files(&files(vocab, merges, "{\"model_max_length\": 1e30}")).unwrap();
    assert_eq!(tokenizer.max_length(), 77);
}

/// A token after the vocabulary, as textual inversion adds them, is found whole. A wrong id is an
/// error.
#[test]
fn listed_tokens_keep_their_ids() {
    let vocab = json!({"a": 0, "a</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}).to_string();
    let encode = |config: Value| {
        let config = config.to_string();
        let files = TokenizerFiles {
            vocab: Some(vocab.as_bytes()),
            merges: Some(b"#version: 0.2\n"),
            tokenizer_config: Some(config.as_bytes()),
            ..Default::default()
        };
        Tokenizer::from_files(&files)?.encode("a <toy>a", LongPrompt::Truncate)
    };
    let token = |content: &str| json!({"content": content, "normalized": false, "special": false});
    let end = token("<|endoftext|>");
    let tokens = encode(json!({"added_tokens_decoder": {"3": end, "4": token("<toy>")}})).unwrap();
    assert_eq!(tokens.chunks[0][..6], [2, 1, 4, 1, 3, 3]);
    let wrong = encode(json!({"added_tokens_decoder": {"9": token("<toy>")}}));
    assert!(matches!(wrong, Err(Error::Config { .. })));
}

#[test]
fn any_text_gives_whole_chunks() {
    let golden = host_values("tokens.json");
    let tokenizers = [clip(&golden, "sd1"), clip(&golden, "sd2")];
    let mut random = Random::new(1);
    let limits = [0x80, 0x800, 0x1_0000, 0x11_0000];
    for round in 0..3000 {
        let length = random.below(120);
        let limit = limits[round % 4];
        let letters = (0..length).filter_map(|_| char::from_u32(random.below(limit) as u32));
        let text: String = letters.collect();
        let tokenizer = &tokenizers[round / 4 % 2];
        let padding = tokenizer.empty_chunk()[76];
        let whole = tokenizer.encode(&text, LongPrompt::Chunk).unwrap();
        let cut = tokenizer.encode(&text, LongPrompt::Truncate).unwrap();
        assert_eq!(cut.chunks[0], whole.chunks[0]);
        assert_eq!(whole.chunks.len(), whole.count.div_ceil(75).max(1));
        assert_eq!(cut.cut.is_some(), whole.count > 75);
        assert!(text.ends_with(cut.cut.as_deref().unwrap_or_default()));
        for (i, chunk) in whole.chunks.iter().enumerate() {
            let content = (whole.count - 75 * i).min(75);
            assert_eq!(
                (chunk.len(), chunk[0], chunk[content + 1]),
                (77, 49406, 49407)
            );
            assert!(chunk[content + 2..].iter().all(|&id| id == padding));
            assert!(chunk.iter().all(|&id| id < 49408));
        }
    }
}
