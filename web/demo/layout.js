// Where tiles stand: as large as the stage allows, each in its video's own shape.

const GAP = 10;
/** What the others get beside a large tile. */
const STRIP = 0.2;
const LEAST_STRIP = 84;

/** The largest box of a shape in a place. */
function fit(shape, width, height) {
  return width / height > shape ? [height * shape, height] : [width, width / shape];
}

/** Places `tiles` (`{ shape, place(left, top, width, height) }`); `big`: the one that is large, if any. */
export function arrange(stage, tiles, big) {
  const { clientWidth: width, clientHeight: height } = stage;
  if (!width || !height || !tiles.length) return;
  if (!big || tiles.length === 1) return grid(tiles, 0, 0, width, height);
  const others = tiles.filter((tile) => tile !== big);
  // The strip stands where there is more room beside the large picture.
  const beside = width / height > big.shape;
  const strip = Math.max(LEAST_STRIP, (beside ? width : height) * STRIP);
  const rest = beside ? [width - strip - GAP, height] : [width, height - strip - GAP];
  grid([big], 0, 0, ...rest);
  if (beside) line(others, rest[0] + GAP, 0, strip, height, true);
  else line(others, 0, rest[1] + GAP, width, strip, false);
}

function grid(tiles, left, top, width, height) {
  let best = { area: -1 };
  for (let columns = 1; columns <= tiles.length; columns++) {
    const rows = Math.ceil(tiles.length / columns);
    const cell = [(width - GAP * (columns - 1)) / columns, (height - GAP * (rows - 1)) / rows];
    const area = tiles.reduce((sum, { shape }) => sum + fit(shape, ...cell).reduce((a, b) => a * b), 0);
    if (area > best.area) best = { area, columns, rows, cell };
  }
  const { columns, cell } = best;
  tiles.forEach((tile, i) => {
    const row = Math.floor(i / columns);
    const inRow = Math.min(columns, tiles.length - row * columns);
    // The last row stands in the middle.
    const begin = left + (width - inRow * cell[0] - (inRow - 1) * GAP) / 2;
    put(tile, begin + (i % columns) * (cell[0] + GAP), top + row * (cell[1] + GAP), ...cell);
  });
}

/** A strip of small ones. */
function line(tiles, left, top, width, height, down) {
  const length = down ? height : width;
  const each = Math.min((length - GAP * (tiles.length - 1)) / tiles.length, down ? width : height * 1.8);
  const begin = (length - each * tiles.length - GAP * (tiles.length - 1)) / 2;
  tiles.forEach((tile, i) => {
    const at = begin + i * (each + GAP);
    if (down) put(tile, left, top + at, width, each);
    else put(tile, left + at, top, each, height);
  });
}

function put(tile, left, top, width, height) {
  const [w, h] = fit(tile.shape, width, height);
  tile.place(left + (width - w) / 2, top + (height - h) / 2, w, h);
}
