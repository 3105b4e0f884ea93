/** A list of which only what can be seen is in the document. All rows have one height. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface VirtualListProps {
  readonly count: number;
  readonly rowHeight: number;
  readonly label: string;
  readonly row: (index: number) => ComponentChildren;
  /** Kept in view when it changes. */
  readonly selected?: number;
  /** Names the selected row for assistive technology. */
  readonly activeId?: string;
  /** Where new rows come: what is looked at stays where it is. */
  readonly grows: "top" | "bottom";
}

/** Beyond the edges, so that scrolling shows no gaps. */
const SPARE_ROWS = 8;

export function VirtualList(props: VirtualListProps) {
  const { count, rowHeight, label, row, selected = -1, activeId, grows } = props;
  const box = useRef<HTMLDivElement>(null);
  const before = useRef(count);
  const [view, setView] = useState({ top: 0, height: 800 });

  const look = (): void => {
    const element = box.current;
    if (element) setView({ top: element.scrollTop, height: element.clientHeight });
  };

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    const element = box.current;
    const more = count - before.current;
    before.current = count;
    if (!element || more === 0) return;
    if (grows === "top") {
      if (element.scrollTop > 0) element.scrollTop += more * rowHeight;
    } else {
      const atEnd = element.scrollTop + element.clientHeight >= (count - more - 1.5) * rowHeight;
      if (atEnd) element.scrollTop = count * rowHeight;
    }
    look();
  }, [count]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element || selected < 0) return;
    const top = selected * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + rowHeight - element.clientHeight;
    }
  }, [selected]);

  const first = Math.max(0, Math.floor(view.top / rowHeight) - SPARE_ROWS);
  const last = Math.min(count, Math.ceil((view.top + view.height) / rowHeight) + SPARE_ROWS);
  const rows: ComponentChildren[] = [];
  for (let index = first; index < last; index++) rows.push(row(index));
  const below = grows === "bottom" && view.top + view.height < (count - 1) * rowHeight;
  const toEnd = (): void => {
    if (box.current) box.current.scrollTop = count * rowHeight;
  };
  return (
    <>
      <div
        class="scroll"
        ref={box}
        onScroll={look}
        role="listbox"
        aria-label={label}
        aria-activedescendant={activeId}
        tabIndex={0}
      >
        <div class="tall" style={{ height: `${count * rowHeight}px` }}>
          <div class="window" style={{ transform: `translateY(${first * rowHeight}px)` }}>
            {rows}
          </div>
        </div>
      </div>
      {below && (
        <button type="button" class="latest" title="To the latest, and on with it" onClick={toEnd}>
          Latest ↓
        </button>
      )}
    </>
  );
}
