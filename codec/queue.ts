/** A first-in-first-out queue whose both ends cost the same however long it is (`Array#shift` copies). */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  get last(): T | undefined {
    return this.#items.at(-1);
  }

  /** Puts `item` in the place of the first one, which must exist. */
  replaceFirst(item: T): void {
    this.#items[this.#head] = item;
  }

  /** Puts `item` in the place of the last one, which must exist. */
  replaceLast(item: T): void {
    this.#items[this.#items.length - 1] = item;
  }

  /** From the first to the last, without taking them. */
  *[Symbol.iterator](): Generator<T, void, void> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at] as T;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item out; the queue does not keep it alive. */
  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
