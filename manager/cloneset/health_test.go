package cloneset

import (
	"os"
	"regexp"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// argoHealth runs the script of the documentation as Argo CD does.
func argoHealth(t *testing.T, object map[string]any) (health, message string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/concepts/health.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```lua\n(.*?)```").FindSubmatch(page)
	if script == nil {
		t.Fatal("the page has no script")
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString} {
		state.Push(state.NewFunction(open))
		state.Call(0, 0)
	}
	state.SetGlobal("obj", inLua(t, state, object))
	if err := state.DoString(string(script[1])); err != nil {
		t.Fatalf("the script fails: %v", err)
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		t.Fatalf("the script returns %s, want a table", state.Get(-1))
	}
	return answer.RawGetString("status").String(), lua.LVAsString(answer.RawGetString("message"))
}

// inLua is a JSON value as a value of Lua.
func inLua(t *testing.T, state *lua.LState, value any) lua.LValue {
	t.Helper()
	switch v := value.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		table := state.NewTable()
		for _, item := range v {
			table.Append(inLua(t, state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			table.RawSetString(key, inLua(t, state, item))
		}
		return table
	default:
		t.Fatalf("a value of type %T", value)
		return lua.LNil
	}
}
