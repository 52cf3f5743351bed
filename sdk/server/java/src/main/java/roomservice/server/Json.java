package roomservice.server;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON (RFC 8259): read into maps, lists, texts and numbers, or into records; written from these. */
final class Json {
    private static final int DEEPEST = 64;

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    /** Objects are maps in the order of the text; numbers are {@link Long} where they are whole, or else {@link Double}. */
    static Object read(String text) {
        Json json = new Json(text);
        Object value = json.value();
        if (json.peek() != 0) {
            throw json.malformed();
        }
        return value;
    }

    /** A value as a record, a list of records, or what else a component of a record is. Unknown members are ignored. */
    static Object as(Type type, Object value) {
        if (type instanceof ParameterizedType of) {
            Type[] inner = of.getActualTypeArguments();
            if (value instanceof List<?> list) {
                return list.stream().map(one -> as(inner[0], one)).toList();
            }
            if (value instanceof Map<?, ?> map) {
                Map<Object, Object> found = new LinkedHashMap<>();
                map.forEach((name, one) -> found.put(name, as(inner[1], one)));
                return found;
            }
            return null;
        }
        Class<?> wanted = (Class<?>) type;
        if (wanted.isRecord()) {
            return value instanceof Map<?, ?> map ? record(wanted, map) : null;
        }
        if (value instanceof Number number) {
            return number(wanted, number);
        }
        if (value == null && wanted.isPrimitive()) {
            return wanted == boolean.class ? (Object) false : number(wanted, 0);
        }
        return value;
    }

    private static Object number(Class<?> wanted, Number number) {
        if (wanted == int.class || wanted == Integer.class) {
            return number.intValue();
        }
        if (wanted == long.class || wanted == Long.class) {
            return number.longValue();
        }
        return wanted == double.class || wanted == Double.class ? (Object) number.doubleValue() : number;
    }

    private static Object record(Class<?> wanted, Map<?, ?> map) {
        RecordComponent[] parts = wanted.getRecordComponents();
        Class<?>[] types = Arrays.stream(parts).map(RecordComponent::getType).toArray(Class<?>[]::new);
        Object[] values = Arrays.stream(parts).map(p -> as(p.getGenericType(), map.get(p.getName()))).toArray();
        try {
            Constructor<?> constructor = wanted.getDeclaredConstructor(types);
            return constructor.newInstance(values);
        } catch (NoSuchMethodException | InstantiationException | IllegalAccessException | InvocationTargetException e) {
            throw new IllegalStateException("the record " + wanted.getName() + " cannot be made", e);
        }
    }

    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof Arguments arguments) {
            write(arguments.values(), out);
        } else if (value instanceof Map<?, ?> map) {
            String before = "{";
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                out.append(before);
                quote(String.valueOf(entry.getKey()), out);
                out.append(':');
                write(entry.getValue(), out);
                before = ",";
            }
            out.append(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof Iterable<?> list) {
            String before = "";
            out.append('[');
            for (Object one : list) {
                out.append(before);
                write(one, out);
                before = ",";
            }
            out.append(']');
        } else if (value == null || value instanceof Boolean || value instanceof Number) {
            out.append(value);
        } else {
            quote(value.toString(), out);
        }
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    /** The next character that is no space; 0 at the end. */
    private char peek() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        return at < text.length() ? text.charAt(at) : 0;
    }

    private Object value() {
        return switch (peek()) {
            case '{' -> object();
            case '[' -> list();
            case '"' -> string();
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
        };
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw malformed();
        }
        at += word.length();
        return value;
    }

    private void expect(char wanted) {
        if (peek() != wanted) {
            throw malformed();
        }
        at++;
    }

    private boolean ends(char end) {
        if (peek() == end) {
            at++;
            return true;
        }
        return false;
    }

    private Map<String, Object> object() {
        Map<String, Object> found = new LinkedHashMap<>();
        enter('{');
        for (boolean first = true; !ends('}'); first = false) {
            if (!first) {
                expect(',');
            }
            peek();
            String name = string();
            expect(':');
            found.put(name, value());
        }
        depth--;
        return found;
    }

    private List<Object> list() {
        List<Object> found = new ArrayList<>();
        enter('[');
        for (boolean first = true; !ends(']'); first = false) {
            if (!first) {
                expect(',');
            }
            found.add(value());
        }
        depth--;
        return found;
    }

    private void enter(char opening) {
        expect(opening);
        if (++depth > DEEPEST) {
            throw malformed();
        }
    }

    private String string() {
        expect('"');
        StringBuilder found = new StringBuilder();
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return found.toString();
            }
            found.append(c == '\\' ? escaped() : c);
        }
        throw malformed();
    }

    private char escaped() {
        char c = at < text.length() ? text.charAt(at++) : 0;
        if (c == 'u' && at + 4 <= text.length()) {
            at += 4;
            try {
                return (char) Integer.parseInt(text, at - 4, at, 16);
            } catch (NumberFormatException e) {
                throw malformed();
            }
        }
        int known = "\"\\/bfnrt".indexOf(c);
        if (known < 0 || c == 0) {
            throw malformed();
        }
        return "\"\\/\b\f\n\r\t".charAt(known);
    }

    private Object number() {
        int begin = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(begin, at);
        try {
            return digits.matches("-?[0-9]{1,18}") ? (Object) Long.valueOf(digits) : (Object) new BigDecimal(digits).doubleValue();
        } catch (NumberFormatException e) {
            throw malformed();
        }
    }

    private IllegalArgumentException malformed() {
        return new IllegalArgumentException("no JSON at character " + at);
    }
}
