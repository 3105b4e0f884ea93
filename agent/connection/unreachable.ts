/** Why no connection to the edge came to be, in a sentence's part for a person, that follows "cannot reach the edge: ". */
export class Unreachable extends Error {
  constructor(says: string) {
    super(says);
    this.name = "Unreachable";
  }
}

/** A proxy wants credentials, or other ones: as long as the environment is the same, so is its answer. */
export class ProxyUnauthorized extends Unreachable {}
