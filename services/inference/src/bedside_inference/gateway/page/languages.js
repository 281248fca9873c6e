// Which language an answer is in, so that a screen reader takes the right voice.

const FREQUENT = {
  de: "der die und das ist nicht mit ein eine auf für von den im zu bei oder auch werden wird sie sich",
  fr: "le la les et des est une un du pour dans que qui avec sur pas ou vous ce au sont par",
  en: "the and of to is in a for with that are this it on or be not you by can should",
};
const WORDS = Object.entries(FREQUENT).map(([tag, words]) => [tag, new Set(words.split(" "))]);
const ENOUGH = 4; // frequent words
const SAMPLE = 2000; // characters

/** `de`, `fr` or `en` if twice as many of its frequent words occur as of any other; else null. */
export function languageOf(text) {
  const words = text.slice(0, SAMPLE).toLowerCase().match(/\p{L}+/gu) ?? [];
  const counts = WORDS.map(([tag, frequent]) => [tag, words.filter((word) => frequent.has(word)).length]);
  const [[tag, most], [, second]] = counts.sort(([, one], [, other]) => other - one);
  return most >= ENOUGH && most >= 2 * second ? tag : null;
}
