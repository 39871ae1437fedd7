//! From a latent to a picture: the decoder half of the autoencoder.

pub mod decoder;
pub mod tile_layout;
