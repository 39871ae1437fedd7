//! Tests of the harness: it finds the faults that it is for.

use std::hint::black_box;
use std::time::{Duration, Instant};

use darkroom::Error;

use super::memory;
use super::run::{Bound, Input, Target, campaign, check};
use crate::support::clock::processor_time;
use crate::support::random::Random;

/// A target with one fault.
#[derive(Clone, Copy)]
enum Bad {
    Panics,
    IsHungry,
    IsSlow,
    NamesNothing,
    QuotesAll,
    BlamesTheDevice,
}

impl Target for Bad {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn bound(&self) -> Bound {
        Bound {
            factor: 10,
            constant: 100_000,
        }
    }

    fn names(&self) -> &'static [&'static str] {
        &["some.json"]
    }

    fn input(&self, random: &mut Random) -> Input {
        Input(vec![("some.json", vec![random.byte()])])
    }

    fn run(&self, input: &Input) -> Result<(), Error> {
        match self {
            // One input in 256, or so.
            Bad::Panics => assert_ne!(input.get("some.json"), Some(&[7][..])),
            Bad::IsHungry => drop(black_box(vec![1_u8; 200_000])),
            Bad::IsSlow => {
                let begin = Instant::now();
                let clock = || processor_time().unwrap_or_else(|| begin.elapsed());
                let end = clock() + Duration::from_millis(300);
                while clock() < end {}
            }
            Bad::NamesNothing => return Err(Error::file("other.json", "malformed")),
            Bad::QuotesAll => {
                return Err(Error::File {
                    path: "some.json".into(),
                    what: "x".repeat(5000),
                });
            }
            Bad::BlamesTheDevice => return Err(Error::device("some.json")),
        }
        Ok(())
    }
}

#[test]
fn the_harness_finds_every_fault() {
    let seven = Input(vec![("some.json", vec![7])]);
    for (bad, word) in [
        (Bad::Panics, "panicked"),
        (Bad::IsHungry, "held 2"),
        (Bad::IsSlow, "took"),
        (Bad::NamesNothing, "names none"),
        (Bad::QuotesAll, "too long to read"),
        (Bad::BlamesTheDevice, "fault"),
    ] {
        let found = check(&bad, 0, &seven).err();
        assert!(
            found.as_deref().is_some_and(|what| what.contains(word)),
            "{word}: {found:?}"
        );
    }
}

#[test]
fn a_campaign_reports_the_input() {
    let tally = campaign(&Bad::Panics, 4000, 2);
    assert!(!tally.failures.is_empty(), "in 4000 inputs");
    for failure in &tally.failures {
        assert!(failure.contains("some.json, 1 bytes: \\x07"), "{failure}");
        let number = failure
            .strip_prefix("bad:")
            .and_then(|text| text.split(' ').next());
        let number: u64 = number
            .and_then(|text| text.parse().ok())
            .expect("its number");
        let again = Bad::Panics.input(&mut Random::of("bad", number));
        assert_eq!(again.get("some.json"), Some(&[7][..]));
    }
}

#[test]
fn memory_is_counted_as_held_at_once() {
    let (_, one) = memory::peak(("test", 0), || drop(black_box(vec![0_u8; 5000])));
    let (_, both) = memory::peak(("test", 0), || {
        let first = black_box(vec![0_u8; 5000]);
        drop(black_box(vec![0_u8; 3000]));
        drop(black_box(vec![0_u8; 3000]));
        drop(first);
    });
    assert_eq!((one, both), (5000, 8000));
    // A growing vector holds its old and its new memory for a moment.
    let (_, grown) = memory::peak(("test", 0), || {
        let mut list = Vec::<u8>::with_capacity(1000);
        list.resize(1001, 0);
        drop(black_box(list));
    });
    assert_eq!(grown, 3000);
}
