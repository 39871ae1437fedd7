//! Element types of weights on the CPU.

use darkroom::weights::Storage;
use darkroom::{Request, Runtime};

use crate::support::cpu;
use crate::support::generate::generate;
use crate::support::models::Model;

/// Weights in f16 are widened before they are used, so a model with weights in f16 gives the same
/// values whichever type its weights are stored in.
#[test]
fn cpu_storage_of_f16_weights_does_not_change_the_picture() {
    let single = cpu();
    assert_eq!(single.storage, Storage::Single);
    let half = Runtime {
        storage: Storage::Half,
        ..single.clone()
    };
    let model = Model::read("sd1-plain-first");
    let request = Request {
        steps: 2,
        ..model.expected.cases[0].request()
    };
    let [got, expected] = [half, single].map(|runtime| generate(&model.load(&runtime), &request));
    assert!(got.latent == expected.latent && got.picture.rgba == expected.picture.rgba);
}
