// @ts-check
/** German texts of the page around the studio. */

/** @type {typeof import("../en/page.js").page} */
export const page = {
  title: "Darkroom: Stable Diffusion im Browser, mit negativen Prompts",
  description: "Stable Diffusion mit negativen Prompts. Nichts verlässt Ihren Rechner.",
  tagline: "Stable Diffusion im Browser. Sagen Sie, was Sie wollen, und was nicht.",
  about: "Über Darkroom",
  whyLink: "Warum es wirkt",
  story: "Wie es geht",
  storyMore: "Die ganze Geschichte, mit Bildern: drei Minuten (auf Englisch)",
  help: "Hilfe",
  source: "Quelltext",
  withoutAlt: "Gezeichnetes Porträt eines Mannes mit Schnurrbart, ohne negativen Prompt gemacht",
  withAlt: "Derselbe Mann ohne Schnurrbart, mit dem negativen Prompt „mustache“ gemacht",
  withoutTag: "ohne",
  withTag: "negativ: mustache",
  wipe: "Blende: wie viel das Bild ohne den negativen Prompt zeigt",
  wiped: (percent) => `${percent} % ohne den negativen Prompt`,
  pairTitle: "Dasselbe Rauschen, ein Wort.",
  pairText: "Von dieser Seite gemacht; machen Sie es selbst.",
  why: "Warum?",
  pairButton: "Auf Ihrem Rechner vergleichen",
  words: "Wörter zum Ausprobieren",
  whyTitle: "Warum „ohne“ nicht wirkt, ein negativer Prompt aber schon",
  why1:
    "Ein Text-Encoder hört das Wort. „Without mustache“ enthält {word}, und unter einem Bild " +
    "steht selten, was nicht darauf ist. Deshalb hat das Modell kaum gelernt, was {without} " +
    "bedeutet, und liefert oft genau das, was Sie vermeiden wollten.",
  why2:
    "Ein Bild entsteht in Schritten. In jedem Schritt sagt das Modell das Rauschen zweimal " +
    "voraus: einmal für den Prompt, {p}, und einmal ganz ohne Prompt. Der Unterschied zeigt, " +
    "wohin der Prompt zieht, und die Guidance {s} verstärkt ihn.",
  why3:
    "Ein negativer Prompt tritt an die Stelle des leeren. Seine Vorhersage {n} wird der Punkt, " +
    "von dem das Bild sich entfernt: {formula} Bei {s} = 1 hebt {n} sich auf: Ein negativer " +
    "Prompt wirkt dort nicht.",
  experiment: "In 3 Klicks sehen, warum",
  result1: "→ Schnurrbart",
  result2: "→ noch da",
  negative3: "… negativer Prompt: mustache",
  result3: "→ weg",
  privacy: "Alles wird auf Ihrem Rechner berechnet. Prompts und Bilder verlassen ihn nicht.",
  modelCard: "Beschreibung des Demo-Modells",
  models: "Eigene Modelle",
  licence: "Lizenz",
};
