//! From a latent to a picture: the decoder half of the autoencoder.

pub mod decode;
pub mod decoder;
pub mod tiles;
